"""Rules: what the shape of a single document can't say. One file for each kind of rule.

Rules see the documents as written, right or wrong: they skip what has the wrong shape, which is reported
already, so that one mistake doesn't hide another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from relman_plugins.spec.bundle import Bundle
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.rules import (
    approvals,
    assess,
    baselines,
    calendars,
    checklists,
    conditions,
    emergencies,
    gates,
    judging,
    kubernetes,
    lifetimes,
    names,
    notify,
    parameters,
    parity,
    pods,
    references,
    rolling,
    safety,
    sources,
    suites,
    traffic,
    trains,
    windows,
)

ALONE = frozenset(
    (names.file_names, safety.secrets, safety.lifetimes, safety.pools, kubernetes.clusters, *calendars.RULES)
)
"""Rules that look at one document at a time: what they said of an environment they would say again."""

RULES = (
    *names.RULES,
    *references.RULES,
    *traffic.RULES,
    *baselines.RULES,
    *judging.RULES,
    *rolling.RULES,
    *safety.RULES,
    *sources.RULES,
    *suites.RULES,
    *calendars.RULES,
    *windows.RULES,
    *gates.RULES,
    *approvals.RULES,
    *parameters.RULES,
    *checklists.RULES,
    *lifetimes.RULES,
    *parity.RULES,
    *notify.RULES,
    *assess.RULES,
    *emergencies.RULES,
    *conditions.RULES,
    *trains.RULES,
    *kubernetes.RULES,
    *pods.RULES,
)


TIMES = (*calendars.RULES, *windows.RULES)
"""Rules about when changes are allowed: all that an environment without a pipeline is held against."""

MOST_ERRORS = 100
"""Errors after which a rule stops: nobody reads more at once, and a file could keep it busy for minutes."""


def check(bundle: Bundle, clean: set[str]) -> Iterator[Diagnostic]:
    """Apply every rule.

    Args:
        bundle: the documents.
        clean: paths of environments that are right by themselves; grown here.
    """
    unknown = {name: d for name, d in bundle.environments.items() if d.path not in clean}
    alone = replace(bundle, environments=unknown)
    wrong: set[str] = set()
    reached = True
    for rule in RULES:
        errors = 0
        for diagnostic in rule(alone if rule in ALONE else bundle):
            wrong.add(diagnostic.path)
            errors += diagnostic.is_error
            yield diagnostic
            # Of secrets all are wanted: a line is shown unless it is known to hold one.
            if errors == MOST_ERRORS and rule not in safety.RULES:
                break
        reached = reached and errors < MOST_ERRORS
    if reached:
        # A rule that stopped early has not looked at every environment.
        clean |= {d.path for d in unknown.values()} - wrong
