"""Safety: metrics that decide something, no secrets, no surprises in commands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from relman_plugins.domain.source import DEFAULT, KINDS
from relman_plugins.spec.bundle import (
    Bundle,
    Path_,
    entries,
    judge_of,
    looks_back,
    number_at,
    source_kind,
    text_at,
)
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.position import Document, Node
from relman_plugins.spec.secrets import CODE as SECRET
from relman_plugins.spec.secrets import looks_secret, none_secret
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import listed, quoted, suggestion

VARIABLES = ("environment", "service", "stable", "track", "version")
COUNTED = (*VARIABLES, "window")
"""Those of a count: it is also told how long ago the comparison began."""
BEFORE = "before"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


def _metrics(bundle: Bundle, *judges: str) -> Iterator[tuple[Path_, Node]]:
    """Yield the metrics of the analyses with one of these judges; ``before`` is one of them here."""
    for path, analysis in entries(bundle.pipeline, "analyses"):
        if (BEFORE if looks_back(analysis) else judge_of(analysis)) in judges:
            yield from entries(bundle.pipeline, *path, "metrics")


def limits(bundle: Bundle) -> Iterator[Diagnostic]:
    """A metric has a limit, and some value can satisfy it."""
    for path, metric in _metrics(bundle, "thresholds"):
        if isinstance(metric.value, dict) and {"bad", "total"} & metric.value.keys():
            continue  # meant to be compared, and reported already: limits are not what it lacks
        low, high = number_at(metric, "min"), number_at(metric, "max")
        if isinstance(metric.value, dict) and not {"min", "max"} & {
            k for k, v in metric.value.items() if v is not None
        }:
            message = f"{holder(bundle.pipeline, path)} has neither max nor min: every value would pass"
            yield finding(bundle.pipeline, (*path, "name"), "RM307", message, hint="add max: or min:")
        elif low is not None and high is not None and low > high:
            message = f"no value of {holder(bundle.pipeline, path)} can pass: min {low} is above max {high}"
            yield finding(bundle.pipeline, (*path, "min"), "RM307", message)


def samples(bundle: Bundle) -> Iterator[Diagnostic]:
    """A minimum of samples needs a query that counts them, and the other way round."""
    for path, metric in _metrics(bundle, "thresholds"):
        least, query = number_at(metric, "min_samples"), text_at(metric, "samples")
        if least and query is None:
            message = f"{holder(bundle.pipeline, path)} wants {least} samples, but no query counts them"
            yield finding(bundle.pipeline, (*path, "min_samples"), "RM308", message, hint="add samples:")
        elif query is not None and not least:
            message = f"{holder(bundle.pipeline, path)} counts samples, but wants none"
            hint, place = "add min_samples:, or remove samples:", (*path, "samples")
            yield finding(bundle.pipeline, place, "RM308", message, key=True, hint=hint, severity="warning")


def variables(bundle: Bundle) -> Iterator[Diagnostic]:
    """Queries use the variables there are."""
    for path, analysis in entries(bundle.pipeline, "analyses"):
        compared = judge_of(analysis) in _COUNTING
        keys = _COUNTS if compared else ("query", "samples")
        there: tuple[str, ...] = VARIABLES
        if compared and _is_told_window(analysis):
            there = COUNTED
        elif looks_back(analysis):
            there = ("ago", *VARIABLES)
        for place, metric in entries(bundle.pipeline, *path, "metrics"):
            for key in keys:
                unknown = next((n for n in names_in(text_at(metric, key)) if n not in there), None)
                if unknown is None:
                    continue
                known = listed(f"${v}" for v in there)
                where = f'"{key}" of {holder(bundle.pipeline, place)}'
                message = f'unknown variable "${unknown}" in {where}; there are {known}'
                hint = suggestion(unknown, there).replace('"', '"$', 1)
                if compared and unknown == "window":
                    hint = "this source is told beside the query since when to count"
                yield finding(bundle.pipeline, (*place, key), "RM309", message, hint=hint)


def counts(bundle: Bundle) -> Iterator[Diagnostic]:
    """What is compared is of one version, and what is counted is counted over the time that is asked for."""
    for path, analysis in entries(bundle.pipeline, "analyses"):
        judge = BEFORE if looks_back(analysis) else judge_of(analysis)
        keys, needed, example = _NEEDED.get(judge, ((), (), ""))
        if judge in _COUNTING:
            example = (source_kind(analysis) or KINDS[DEFAULT]).counting
        for place, metric in entries(bundle.pipeline, *path, "metrics"):
            for key in keys:
                query = text_at(metric, key)
                there = set(names_in(query))
                for name, what in () if query is None else needed:
                    if name not in there:
                        if name == "window" and not _is_told_window(analysis):
                            continue
                        where = f'"{key}" of {holder(bundle.pipeline, place)}'
                        message = f"{where} does not name ${name}: {what}"
                        hint = f"for example {example}"
                        yield finding(bundle.pipeline, (*place, key), "RM315", message, hint=hint)


def _is_told_window(analysis: Node) -> bool:
    """Say whether a count's query says itself since when it counts."""
    kind = source_kind(analysis)
    return kind is None or kind.series != "must"


_COUNTS = ("bad", "total")
_COUNTING = ("sequential", "slo")
"""The judges of counts."""
_SAME = ("version", "both versions would have the same numbers")
_NEEDED = {
    "sequential": (
        _COUNTS,
        (_SAME, ("window", "each look would count again what the one before it has counted")),
        "",
    ),
    "mann_whitney": (
        ("query",),
        (_SAME,),
        'histogram_quantile(0.99, sum by (le) (rate(seconds_bucket{version="$version"}[1m])))',
    ),
    BEFORE: (
        ("query",),
        (_SAME, ("ago", "the old version would be looked at when it has no traffic any more")),
        'avg(rate(requests_total{version="$version"}[1m] offset $ago))',
    ),
    "slo": (
        _COUNTS,
        (("window", "all windows would have the same numbers"),),
        "",
    ),
}
"""What a query must name, by judge, and an example; of counts it is that of the source."""


def names_in(query: str | None) -> Iterator[str]:
    """Return the variables that a query names."""
    return (found[1] or found[2] for found in _VARIABLE.finditer(query or ""))


def secrets(bundle: Bundle) -> Iterator[Diagnostic]:
    """Secrets stay in connections, and relman's own variables stay relman's."""
    named: set[int] = set()
    for document, path, node in _settings(bundle):
        name = str(path[-1])
        if not node.children:
            named.add(id(node))
        if looks_secret(name, node.value):
            message = f"{quoted(name)} in {holder(document, path[:-1])} looks like a secret"
            hint = "specs are printed, stored and sent to Slack; keep secrets in Airflow connections"
            yield finding(document, path, SECRET, message, key=True, hint=hint)
        elif name.upper().startswith("RELMAN_"):
            message = f"{quoted(name)} in {holder(document, path[:-1])} is set by relman itself"
            yield finding(document, path, "RM311", message, key=True, hint="choose another name")
    documents = (bundle.pipeline, *bundle.environments.values(), *filter(None, [bundle.people]))
    for document in documents:
        if none_secret(_values(document.root)):
            continue
        for path, node in _texts(document.root, named):
            if path[-1] not in _QUERIES and looks_secret("", node.value):
                message = f"a value in {holder(document, path[:-1])} looks like a secret"
                hint = "specs are printed, stored and sent to Slack; keep secrets in Airflow connections"
                yield finding(document, path, SECRET, message, hint=hint)


def _settings(bundle: Bundle) -> Iterator[tuple[Document, Path_, Node]]:
    for document in bundle.environments.values():
        yield from ((document, p, n) for p, n in entries(document, "config"))
    for path, _ in entries(bundle.pipeline, "suites"):
        yield from ((bundle.pipeline, p, n) for p, n in entries(bundle.pipeline, *path, "env"))
    for path, node in entries(bundle.pipeline, "parameters"):
        yield bundle.pipeline, path, node
        default = node.child("default")
        if default is not None:
            yield bundle.pipeline, (*path, "default"), default


def _values(root: Node) -> Iterator[str]:
    """Yield every text in a document that may hold a secret, in no order."""
    waiting = [root]
    while waiting:
        for key, child in waiting.pop().children.items():
            if child.children:
                waiting.append(child)
            elif isinstance(child.value, str) and key not in _QUERIES:
                yield child.value


_QUERIES = ("query", "samples", "bad", "total")
"""Anchors and labels of a query look like assignments, and no secret helps it."""


def _texts(node: Node, seen: set[int], *path: str | int) -> Iterator[tuple[Path_, Node]]:
    """Yield every text in a document, each once, however many aliases lead to it."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node.value, str) and path:
        yield path, node
    for key, child in node.children.items():
        yield from _texts(child, seen, *path, key)


def templates(bundle: Bundle) -> Iterator[Diagnostic]:
    """Commands are not templates: values arrive as environment variables."""
    for command in _commands(bundle):
        for path, node in entries(bundle.pipeline, *command):
            if (
                isinstance(node.value, str)
                and ("{{" in node.value or "{%" in node.value)
                and not looks_secret("", node.value)
            ):
                message = f"{quoted(node.value)} in {holder(bundle.pipeline, command)} is passed on as it is"
                hint = "there are no templates; read RELMAN_VERSION and its like from the environment"
                yield finding(bundle.pipeline, path, "RM312", message, hint=hint, severity="warning")


def _commands(bundle: Bundle) -> list[Path_]:
    commands: list[Path_] = [("artifact", "build")]
    commands += [(*path, "parity", "schema", "command") for path, _ in bundle.stages()]
    return commands + [(*path, "command") for path, _ in entries(bundle.pipeline, "suites")]


def lifetimes(bundle: Bundle) -> Iterator[Diagnostic]:
    """Only an ephemeral environment expires."""
    for document in bundle.environments.values():
        value = document.root.value
        if isinstance(value, dict) and "expires" in value and value.get("ephemeral") is not True:
            message = "the environment expires only when it is ephemeral"
            hint = "add ephemeral: true, or remove expires:"
            yield finding(document, ("expires",), "RM313", message, key=True, hint=hint, severity="warning")


def pools(bundle: Bundle) -> Iterator[Diagnostic]:
    """Slots are slots of a pool."""
    for document in bundle.environments.values():
        value = document.root.value
        if isinstance(value, dict) and "slots" in value and not value.get("pool"):
            message = "the environment takes slots, but names no pool to take them from"
            hint = "add pool: and the name of an Airflow pool, or remove slots:"
            yield finding(document, ("slots",), "RM701", message, key=True, hint=hint, severity="warning")


RULES = (limits, samples, variables, counts, secrets, templates, lifetimes, pools)
