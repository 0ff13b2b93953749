"""Rules: what the shape of a single document can't say. One file for each kind of rule.

Rules see the documents as written, right or wrong: they skip what has the wrong shape, which is reported
already, so that one mistake doesn't hide another.
"""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.rules import (
    calendars,
    checklists,
    gates,
    names,
    notify,
    parameters,
    parity,
    references,
    rolling,
    safety,
    traffic,
)

RULES = (
    *names.RULES,
    *references.RULES,
    *traffic.RULES,
    *rolling.RULES,
    *safety.RULES,
    *calendars.RULES,
    *gates.RULES,
    *parameters.RULES,
    *checklists.RULES,
    *parity.RULES,
    *notify.RULES,
)


MOST_ERRORS = 100
"""Errors after which a rule stops: nobody reads more at once, and a file could keep it busy for minutes."""


def check(bundle: Bundle) -> Iterator[Diagnostic]:
    """Apply every rule."""
    for rule in RULES:
        # Of secrets all are wanted: a line is shown unless it is known to hold one.
        yield from rule(bundle) if rule in safety.RULES else _first(rule(bundle))


def _first(found: Iterator[Diagnostic]) -> Iterator[Diagnostic]:
    errors = 0
    for diagnostic in found:
        yield diagnostic
        errors += diagnostic.is_error
        if errors == MOST_ERRORS:
            return
