"""Sources: what is asked of one is what its kind can be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from relman_plugins.domain.source import SourceKind
from relman_plugins.spec.bundle import Bundle, Path_, entries, judge_of, looks_back, source_kind, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.position import Node
from relman_plugins.spec.trail import finding, holder

CODE = "RM317"
QUERIES = ("query", "samples", "bad", "total")


def series(bundle: Bundle) -> Iterator[Diagnostic]:
    """A series is asked of those that have one, and a number taken of it."""
    for path, analysis in entries(bundle.pipeline, "analyses"):
        kind = source_kind(analysis)
        if kind is None or judge_of(analysis) in ("sequential", "slo"):
            continue
        for place, metric in entries(bundle.pipeline, *path, "metrics"):
            if isinstance(metric.value, dict):
                yield from _series(bundle, place, metric, kind)


def _series(bundle: Bundle, path: Path_, metric: Node, kind: SourceKind) -> Iterator[Diagnostic]:
    if kind.series != "must" and not metric.children.keys() & {"over", "take"}:
        return
    where = holder(bundle.pipeline, path)
    if "over" in metric.value and kind.series == "never":
        message = f"{where} asks for a series, but the query of a {kind.label} gives one number"
        hint = "say in the query over what time, and remove over:"
        yield finding(bundle.pipeline, (*path, "over"), CODE, message, key=True, hint=hint)
    elif "over" not in metric.value and kind.series == "must" and "query" in metric.value:
        message = f"{where} does not say over what time {kind.label} is asked"
        hint = "add over: and for how long, such as over: 5m"
        yield finding(bundle.pipeline, (*path, "query"), CODE, message, key=True, hint=hint)
    if "take" not in metric.value:
        return
    if not kind.takes:
        message = f"{where} takes one number of a series, but {kind.label} counts by itself"
        yield finding(bundle.pipeline, (*path, "take"), CODE, message, key=True, hint="remove take:")
    elif "over" not in metric.value and kind.series != "must":
        message = f"{where} takes one number of a series, but asks for none"
        hint = "add over: and for how long, such as over: 5m" if kind.series == "may" else "remove take:"
        yield finding(bundle.pipeline, (*path, "take"), CODE, message, key=True, hint=hint)


def queries(bundle: Bundle) -> Iterator[Diagnostic]:
    """A query has the form of its source's queries, as far as that can be told without asking."""
    for path, analysis in entries(bundle.pipeline, "analyses"):
        read = _reader(text_at(analysis, "source"))
        if read is None:
            continue
        for place, metric in entries(bundle.pipeline, *path, "metrics"):
            for key in QUERIES:
                query = text_at(metric, key)
                if query is None:
                    continue
                try:
                    read(query)
                except ValueError as error:
                    message = f'"{key}" of {holder(bundle.pipeline, place)} can\'t be asked: {error}'
                    yield finding(bundle.pipeline, (*place, key), CODE, message)


def before(bundle: Bundle) -> Iterator[Diagnostic]:
    """A comparison with the time before asks a source whose queries can say so."""
    for path, analysis in entries(bundle.pipeline, "analyses"):
        kind = source_kind(analysis)
        if looks_back(analysis) and kind is not None and not kind.shifts:
            message = (
                f"{holder(bundle.pipeline, path)} compares with the time before, but {kind.label} can't be "
                "asked for an earlier time by $ago, which is text such as 3600s"
            )
            hint = "remove against:, or ask a source whose queries have an offset, such as prometheus"
            yield finding(bundle.pipeline, (*path, "against"), CODE, message, key=True, hint=hint)


def _reader(source: str | None) -> Callable[[str], object] | None:
    """Return what raises ValueError for a query that has not the form of its source's; None if any may do.

    Only specs that need one pay for it.
    """
    match source:
        case "sql":
            from relman_plugins.domain.sql_query import parts

            return parts
        case "json":
            from relman_plugins.domain.json_query import read

            return read
        case "elasticsearch":
            from relman_plugins.domain.log_query import read as read_logs

            return read_logs
        case _:
            return None


RULES = (series, queries, before)
