"""How a release ended, by what is recorded."""

from __future__ import annotations

from collections.abc import Sequence

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.plan.model import Shape, StepKind

_NOT_COUNTED = (StepKind.ROLLBACK, StepKind.TEARDOWN, StepKind.CLOSE)


def outcome_of(shape: Shape, events: Sequence[Event]) -> tuple[Outcome, str]:
    """Return a release's outcome and why, from all its events, oldest first.

    A person's word comes first: aborted, rejected. Then what happened to the environments: rolled back. It
    succeeded only when every step has a recorded end; the states of Airflow's tasks are not asked.
    """
    aborted = _last(events, Kind.ABORT_REQUESTED)
    if aborted:
        return (
            Outcome.ABORTED,
            f"aborted by {aborted.actor.name or aborted.actor.id}: {aborted.data.get('reason', '')}",
        )
    approvals = {s.id for s in shape.steps if s.kind is StepKind.APPROVAL}
    for decided in (e for e in events if e.kind is Kind.GATE_DECIDED and e.step in approvals):
        comment = f": {decided.data['comment']}" if decided.data.get("comment") else ""
        if decided.data["state"] == "rejected":
            return Outcome.REJECTED, f"{decided.step} rejected by {decided.data['by']}{comment}"
        if decided.data["state"] == "expired":
            return Outcome.EXPIRED, f"{decided.step} was not decided in time{comment}"
    failed = _last(events, Kind.STEP_FAILED, Kind.STEP_REFUSED)
    why = f"{failed.step}: {failed.data.get('message', '')}" if failed else ""
    if _last(events, Kind.ROLLBACK_FINISHED):
        return Outcome.ROLLED_BACK, why or "rolled back"
    finished = {e.step for e in events if e.kind is Kind.STEP_FINISHED}
    missing = [s.id for s in shape.steps if s.kind not in _NOT_COUNTED and s.id not in finished]
    if missing:
        return Outcome.FAILED, why or f"{missing[0]} has no recorded end"
    return Outcome.SUCCEEDED, f"all {len(finished)} steps ended well"


def left_behind(shape: Shape, events: Sequence[Event]) -> list[str]:
    """Return the environments where a candidate is neither promoted nor taken back."""
    last: dict[str, Event] = {}
    for event in events:
        if event.kind in (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED) and event.environment:
            last[event.environment] = event
    ephemeral = {e.name for e in shape.environments if e.ephemeral}
    return [
        name
        for name, event in last.items()
        if name not in ephemeral
        and (event.kind is Kind.CHANGE_STARTED or event.data["desired"].get("candidate") is not None)
    ]


def _last(events: Sequence[Event], *kinds: Kind) -> Event | None:
    return next((e for e in reversed(events) if e.kind in kinds), None)
