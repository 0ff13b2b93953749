"""From a release's events to its report: pure, the same events give the same report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.ledger.api import ReleaseRecord
from relman_plugins.plan.model import Step, StepKind
from relman_plugins.reports import spans
from relman_plugins.reports.asked import follow_ups_of, gates_of
from relman_plugins.reports.comparison import comparison_of, slower
from relman_plugins.reports.model import (
    Entry,
    Incident,
    ReleaseReport,
    Segment,
    StageReport,
    StepReport,
    WithdrawalReport,
)
from relman_plugins.reports.retrospective import retrospective_of
from relman_plugins.reports.telling import QUIET, sentence, tone, who
from relman_plugins.reports.tried import analyses_of, suites_of

_INCIDENTS = (
    Kind.RELEASE_HELD,
    Kind.RELEASE_RESUMED,
    Kind.ABORT_REQUESTED,
    Kind.ROLLBACK_REQUESTED,
    Kind.ROLLBACK_REFUSED,
    Kind.ROLLBACK_FAILED,
    Kind.GATE_BYPASSED,
    Kind.LOCK_BROKEN,
    Kind.LOCK_EXPIRED,
    Kind.STEP_FAILED,
    Kind.STEP_REFUSED,
)
_STATES = {
    Kind.STEP_STARTED: "running",
    Kind.STEP_FINISHED: "finished",
    Kind.STEP_FAILED: "failed",
    Kind.STEP_REFUSED: "refused",
    Kind.RELEASE_CLOSED: "finished",
}


def report_of(
    record: ReleaseRecord, events: Sequence[Event], earlier: Sequence[ReleaseReport] = ()
) -> ReleaseReport:
    """Return the report of a release from all its events, oldest first; also of one that is under way.

    ``earlier`` are the reports that it is compared with, newest first.
    """
    report = _report(record, events)
    compared = comparison_of(report, earlier)
    asked = (*report.retrospective.questions, *(f"{text}: what was different?" for text in slower(compared)))
    retrospective = report.retrospective.model_copy(update={"questions": asked})
    return report.model_copy(update={"comparison": compared, "retrospective": retrospective})


def _report(record: ReleaseRecord, events: Sequence[Event]) -> ReleaseReport:
    closed = next((e for e in events if e.kind is Kind.RELEASE_CLOSED), None)
    as_of = max((e.at for e in events), default=record.opened_at)
    end = max(closed.at if closed else as_of, record.opened_at)
    # What people are asked afterwards is told, but it is no part of how the release went.
    planned = [step for step in record.plan.shape.steps if step.kind is not StepKind.FOLLOW_UP]
    steps = [_step(step, events, end) for step in planned]
    segments = [s for step in steps for s in step.segments] + spans.holds(events, end)
    suites, analyses, gates = suites_of(events), analyses_of(record, events), gates_of(events, end)
    withdrawals = tuple(_withdrawal(e) for e in events if e.kind is Kind.TRAFFIC_WITHDRAWN)
    built = next((e for e in reversed(events) if e.kind is Kind.ARTIFACT_BUILT), None)
    options = record.plan.options
    stages = _stages(planned, steps)
    return ReleaseReport(
        release_id=record.release_id,
        pipeline=record.pipeline,
        service=record.service,
        version=record.version,
        owner=record.plan.shape.owner,
        outcome=Outcome(closed.data["outcome"]) if closed else None,
        rolled_back_since=tuple(
            dict.fromkeys(
                e.environment or ""
                for e in events
                if e.kind is Kind.ROLLBACK_FINISHED and closed is not None and e.id > closed.id
            )
        ),
        reason=str(closed.data.get("reason", "")) if closed else "",
        opened_at=record.opened_at,
        closed_at=closed.at if closed else None,
        as_of=as_of,
        seconds=(end - record.opened_at).total_seconds(),
        parts=spans.parts(segments, record.opened_at, end),
        started_by=record.started_by.name or record.started_by.id,
        changes=options.changes,
        emergency=options.emergency,
        dry_run=options.dry_run,
        options=options.model_dump(mode="json"),
        artifact_digest=str(built.data["revision"]["digest"]) if built else "",
        plan_hash=record.plan_hash,
        shape_hash=record.shape_hash,
        spec_digest=record.spec_digest,
        stages=stages,
        gates=gates,
        suites=suites,
        analyses=analyses,
        withdrawals=withdrawals,
        incidents=tuple(_incident(e) for e in events if e.kind in _INCIDENTS),
        follow_ups=follow_ups_of(events),
        people=_people(events),
        retrospective=retrospective_of(steps, suites, withdrawals, gates),
        timeline=tuple(_entry(e, record.opened_at) for e in events if e.kind not in QUIET),
    )


def _step(step: Step, events: Sequence[Event], end: datetime) -> StepReport:
    own = [e for e in events if e.step == step.id]
    acquired = [e for e in events if e.kind is Kind.LOCK_ACQUIRED and e.environment == step.environment]
    segments = spans.step_segments(own, acquired, end)
    states = [e for e in own if e.kind in _STATES]
    first, last = (segments[0].start, segments[-1].end) if segments else (None, None)
    waited = sum(s.seconds for s in segments if s.what != spans.WORKING)
    return StepReport(
        id=step.id,
        kind=step.kind.value,
        environment=step.environment,
        state=_STATES[states[-1].kind] if states else "not reached",
        tries=sum(e.kind is Kind.STEP_STARTED for e in own),
        started_at=first,
        ended_at=last,
        seconds=(last - first).total_seconds() if first and last else 0.0,
        waited_s=waited,
        message=str(states[-1].data.get("message", "")) if states else "",
        segments=segments,
    )


def _stages(plan: Sequence[Step], steps: Sequence[StepReport]) -> tuple[StageReport, ...]:
    groups: dict[str, list[StepReport]] = {}
    for planned, step in zip(plan, steps, strict=True):
        groups.setdefault(planned.stage or planned.id, []).append(step)
    return tuple(_stage(name, own) for name, own in groups.items())


def _stage(name: str, steps: list[StepReport]) -> StageReport:
    segments: list[Segment] = [s for step in steps for s in step.segments]
    start, end = min((s.start for s in segments), default=None), max((s.end for s in segments), default=None)
    states = {s.state for s in steps}
    order = ("running", "failed", "refused", "finished")
    return StageReport(
        name=name,
        state=next((s for s in order if s in states), "not reached"),
        started_at=start,
        ended_at=end,
        seconds=(end - start).total_seconds() if start and end else 0.0,
        waited_s=spans.waited(spans.parts(segments, start, end)) if start and end else 0.0,
        steps=tuple(steps),
    )


def _withdrawal(event: Event) -> WithdrawalReport:
    served = event.data.get("served") or {}
    return WithdrawalReport(
        at=event.at,
        environment=event.environment,
        reason=str(event.data.get("reason", "")),
        seconds=event.data.get("seconds"),
        served=served.get("candidate"),
        total=served.get("total"),
    )


def _incident(event: Event) -> Incident:
    where = f"{event.step or event.environment}: " if event.step or event.environment else ""
    return Incident(at=event.at, what=event.kind.value, who=who(event.actor), text=where + sentence(event))


def _people(events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
    deeds: dict[str, list[str]] = {}
    for event in events:
        if event.kind is not Kind.GATE_DECIDED and (name := who(event.actor)):
            place = f" at {event.step}" if event.step else ""
            via = f" (via {event.actor.via})" if event.actor.via else ""
            deeds.setdefault(name, []).append(f"{sentence(event)}{place}{via}")
    return {name: tuple(told) for name, told in deeds.items()}


def _entry(event: Event, opened: datetime) -> Entry:
    return Entry(
        at=event.at,
        after_s=(event.at - opened).total_seconds(),
        where=event.step or event.environment or "",
        text=sentence(event),
        who=who(event.actor),
        tone=tone(event),
    )
