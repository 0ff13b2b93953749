"""A release beside the latest successful ones of its pipeline that ended before it began. Pure.

Usual is the median of those releases: one that stood still for a weekend moves it little. Something took
longer than usual when it exceeds the median by more than a quarter *and* by more than ten seconds, and at
least three earlier releases have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from relman_plugins.reports.model import Compared, Comparison, ReleaseReport
from relman_plugins.reports.spans import BETWEEN, WORKING
from relman_plugins.reports.text import WAITS, duration

LAST = 10
"""How many earlier releases are compared with."""

SLOWER_BY, SLOWER_BY_S, ENOUGH = 0.25, 10.0, 3


def comparison_of(report: ReleaseReport, earlier: Sequence[ReleaseReport]) -> Comparison | None:
    """Return the comparison; None when there is nothing to compare with."""
    if not earlier:
        return None
    before = [dict(_measures(one)) for one in earlier]
    return Comparison(
        releases=tuple(one.release_id for one in earlier),
        rows=tuple(
            _compared(what, unit, value, [b[what, unit] for b in before if (what, unit) in b])
            for (what, unit), value in _measures(report)
        ),
    )


def slower(comparison: Comparison | None) -> Iterator[str]:
    """Yield what took longer than usual, in numbers."""
    for row in comparison.rows if comparison else ():
        if row.slower and row.usual is not None:
            more = f", {(row.value / row.usual - 1):.0%} more" if row.usual else ""
            yield (
                f"{row.what} took {duration(row.value)}; usual is {duration(row.usual)} "
                f"(median of the last {row.of} successful releases that have it){more}"
            )


def _compared(what: str, unit: str, value: float, before: list[float]) -> Compared:
    usual = float(median(before)) if before else None
    late = usual is not None and value > usual * (1 + SLOWER_BY) and value > usual + SLOWER_BY_S
    return Compared(
        what=what,
        unit=unit,
        value=value,
        usual=usual,
        least=min(before, default=None),
        most=max(before, default=None),
        of=len(before),
        slower=late and unit == "s" and len(before) >= ENOUGH,
    )


def _measures(report: ReleaseReport) -> Iterator[tuple[tuple[str, str], float]]:
    yield ("the whole release", "s"), report.seconds
    for stage in report.stages:
        if stage.started_at:
            yield (f"stage {stage.name}", "s"), stage.seconds
    for what, seconds in report.parts.items():
        if what not in (WORKING, BETWEEN):
            yield (WAITS.get(what, what), "s"), seconds
    for suite in report.suites:
        name = f"suite {suite.suite}" + (f" in {suite.environment}" if suite.environment else "")
        yield (name, "s"), suite.seconds
    if report.suites:
        yield ("tests", ""), float(sum(s.tests for s in report.suites))
        yield ("tests that failed", ""), float(sum(s.failures + s.errors for s in report.suites))
        yield ("tests that were skipped", ""), float(sum(s.skipped for s in report.suites))
    served = [w.served for w in report.withdrawals if w.served is not None]
    if served:
        yield ("requests served by the withdrawn version", ""), float(sum(served))
