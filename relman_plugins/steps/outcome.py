"""How a release ended, by what is recorded."""

from __future__ import annotations

from collections.abc import Sequence

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.plan.ends import BESIDES, ended
from relman_plugins.plan.model import Shape, StepKind


def outcome_of(shape: Shape, events: Sequence[Event]) -> tuple[Outcome, str]:
    """Return a release's outcome and why, from all its events, oldest first.

    A person's word comes first: aborted, rejected; unless it came when all was done, and nothing was taken
    back for it. Then what happened to the environments: rolled back. It
    succeeded only when every step has a recorded end; the states of Airflow's tasks are not asked.
    """
    finished = ended(shape, events)
    missing = [s.id for s in shape.steps if s.kind not in BESIDES and s.id not in finished]
    taken_back = _last(events, Kind.ROLLBACK_FINISHED, Kind.TRAFFIC_WITHDRAWN)
    aborted = _last(events, Kind.ABORT_REQUESTED)
    if aborted and not missing and not taken_back:
        who = aborted.actor.name or aborted.actor.id
        return Outcome.SUCCEEDED, f"all steps ended well before {who} asked to abort; nothing was taken back"
    if aborted:
        return (
            Outcome.ABORTED,
            f"aborted by {aborted.actor.name or aborted.actor.id}: {aborted.data.get('reason', '')}",
        )
    approvals = {s.id for s in shape.steps if s.kind in (StepKind.APPROVAL, StepKind.PARITY)}
    for decided in (e for e in events if e.kind is Kind.GATE_DECIDED and e.step in approvals):
        comment = f": {decided.data['comment']}" if decided.data.get("comment") else ""
        if decided.data["state"] == "rejected":
            return Outcome.REJECTED, f"{decided.step} rejected by {decided.data['by']}{comment}"
        if decided.data["state"] == "expired":
            return Outcome.EXPIRED, f"{decided.step} was not decided in time{comment}"
    superseded = _last(events, Kind.RELEASE_SUPERSEDED)
    if superseded and missing and not taken_back:
        return Outcome.SUPERSEDED, str(superseded.data["reason"])
    failed = _cause(events)
    why = f"{failed.step}: {failed.data.get('message', '')}" if failed else ""
    if _last(events, Kind.ROLLBACK_FINISHED):
        return Outcome.ROLLED_BACK, why or "rolled back"
    checklists = {s.id for s in shape.steps if s.kind is StepKind.CHECKLIST}
    if (
        failed
        and failed.step in checklists
        and any(
            e.kind is Kind.GATE_DECIDED and e.step == failed.step and e.data["state"] == "expired"
            for e in events
        )
    ):
        return Outcome.EXPIRED, why
    if missing:
        return Outcome.FAILED, why or f"{missing[0]} has no recorded end"
    return Outcome.SUCCEEDED, f"all {len(finished)} steps ended well"


def left_behind(shape: Shape, events: Sequence[Event]) -> list[str]:
    """Return the environments where a candidate is neither promoted nor taken back."""
    last: dict[str, Event] = {}
    # A start that waited in a spool may be recorded after its own end.
    ended = {
        e.key.replace(Kind.CHANGE_FINISHED, Kind.CHANGE_STARTED)
        for e in events
        if e.kind is Kind.CHANGE_FINISHED
    }
    for event in events:
        if event.kind is Kind.CHANGE_STARTED and event.key in ended:
            continue
        if event.kind in (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED) and event.environment:
            last[event.environment] = event
    ephemeral = {e.name for e in shape.environments if e.ephemeral}
    return [
        name
        for name, event in last.items()
        if name not in ephemeral
        and (event.kind is Kind.CHANGE_STARTED or event.data["desired"].get("candidate") is not None)
    ]


def _cause(events: Sequence[Event]) -> Event | None:
    """Return the failure that decided: a final one before a try that broke, the work's before the tidying's.

    What a later try of the same step put right decided nothing.
    """
    ended = {e.step for e in events if e.kind is Kind.STEP_FINISHED}
    failures = [e for e in events if e.kind in (Kind.STEP_FAILED, Kind.STEP_REFUSED) and e.step not in ended]
    final = [e for e in failures if e.data.get("final", True)]
    return next(reversed(final or failures), None)


def _last(events: Sequence[Event], *kinds: Kind) -> Event | None:
    return next((e for e in reversed(events) if e.kind in kinds), None)
