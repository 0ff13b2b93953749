"""What was tested and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from relman_plugins.domain.event import Event, Kind
from relman_plugins.ledger.api import ReleaseRecord
from relman_plugins.reports.model import AnalysisReport, FailedTest, Look, SuiteReport
from relman_plugins.reports.picture import Picture, pictures_of

_KNOWN = {
    "suite", "tests", "failures", "errors", "skipped", "seconds", "passed", "reason", "failed", "flaky",
    "flakes", "tries", "took", "reports",
}  # fmt: skip


def suites_of(events: Sequence[Event]) -> tuple[SuiteReport, ...]:
    """Return the latest run of each suite in each environment, in the order of their first runs."""
    ran = [e for e in events if e.kind is Kind.SUITE_FINISHED]
    runs: Counter[tuple[str | None, object]] = Counter()
    for e in ran:
        runs[e.environment, e.data.get("suite")] += int(e.data.get("tries") or 1)
    latest = {(e.environment, e.data.get("suite")): e for e in ran}
    return tuple(_suite(event, runs[key]) for key, event in latest.items())


def _suite(event: Event, runs: int) -> SuiteReport:
    data = event.data
    return SuiteReport(
        step=event.step or "",
        environment=event.environment,
        suite=str(data.get("suite", "")),
        runs=runs,
        tests=int(data.get("tests") or 0),
        failures=int(data.get("failures") or 0),
        errors=int(data.get("errors") or 0),
        skipped=int(data.get("skipped") or 0),
        seconds=float(data.get("seconds") or 0),
        passed=bool(data.get("passed")),
        reason=str(data.get("reason") or ""),
        failed=tuple(
            FailedTest(name=str(t.get("name", "")), message=str(t.get("message") or ""))
            for t in data.get("failed") or ()
        ),
        flaky=tuple(str(t.get("name", "") if isinstance(t, dict) else t) for t in data.get("flaky") or ()),
        more={str(r.get("kind")): r.get("reason") for r in data.get("reports") or ()}
        | {name: value for name, value in data.items() if name not in _KNOWN and value not in (None, "", [])},
    )


def analyses_of(record: ReleaseRecord, events: Sequence[Event]) -> tuple[AnalysisReport, ...]:
    """Return each analysis of each step with its looks, in the order of their beginnings."""
    own: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if event.kind in (Kind.ANALYSIS_MEASURED, Kind.ANALYSIS_FINISHED):
            own.setdefault((event.step or "", str(event.data.get("analysis", ""))), []).append(event)
    drawn = {(p.step, p.analysis): p for p in pictures_of(record.release_id, record.plan.shape, events)}
    return tuple(_analysis(step, name, told, drawn.get((step, name))) for (step, name), told in own.items())


def _analysis(step: str, name: str, events: list[Event], picture: Picture | None) -> AnalysisReport:
    ended = next((e.data for e in reversed(events) if e.kind is Kind.ANALYSIS_FINISHED), {})
    looks = [e for e in events if e.kind is Kind.ANALYSIS_MEASURED]
    return AnalysisReport(
        step=step,
        environment=events[0].environment,
        analysis=name,
        weight=events[0].data.get("weight"),
        verdict=str(ended.get("verdict") or ""),
        reason=str(ended.get("reason") or ""),
        looks=tuple(
            Look(look=int(e.data.get("look", 0)), at=e.at, metrics=tuple(e.data.get("metrics") or ()))
            for e in looks
        ),
        picture=picture,
    )
