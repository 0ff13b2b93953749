"""When a release will be done, by what the ledger knows of it and of the pipeline's earlier releases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from relman_plugins.calendars.gate import Gate, starter
from relman_plugins.calendars.weekly import stamp
from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Event, Kind
from relman_plugins.errors import CalendarError
from relman_plugins.forecast.finish import Forecast, Frost, Known, Late, Openings, forecast
from relman_plugins.forecast.history import ready_at, took
from relman_plugins.ledger.api import let_past
from relman_plugins.plan.ends import BESIDES, ENDS, WATCHES, ended
from relman_plugins.plan.in_force import in_force
from relman_plugins.plan.model import PAST_FREEZE, Shape, Step, StepKind
from relman_plugins.plan.times import needed_time

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Freeze, GateState, Ledger, ReleaseRecord

EARLIER = 30
"""How many of the pipeline's last releases that succeeded are looked at."""

AHEAD = timedelta(days=60)
"""How far windows are followed; nearer, where that takes too much work."""
NEAR = timedelta(days=14)


class Expected(Frozen):
    """A forecast, or why there is none."""

    forecast: Forecast | None
    why_not: str = ""
    """In words; empty with a forecast."""
    says: tuple[str, ...] = ()
    """What somebody should do about it now, in sentences."""


_STOPS = {
    Kind.RELEASE_CLOSED: "the release has ended",
    Kind.ABORT_REQUESTED: "it is being aborted",
    Kind.RELEASE_SUPERSEDED: "it was superseded",
    Kind.TRAFFIC_WITHDRAWN: "its traffic is back at the old version",
}


def expected(ledger: Ledger, record: ReleaseRecord, minimum_s: float) -> Expected:
    """Forecast a release that goes on. ``minimum_s`` is the setting ``minimum_deferral``.

    Reads the events of the pipeline's last releases; the same record and time give the same answer. Raises
    LedgerUnavailable.
    """
    now, shape = ledger.now(), record.plan.shape
    events = ledger.events(record.release_id)
    ends = ended(shape, events)
    if record.plan.options.dry_run:
        return Expected(forecast=None, why_not="it is a dry run")
    if why := _stopped(events):
        return Expected(forecast=None, why_not=why)
    frozen: dict[str, Frost] = {}
    for step in shape.steps:
        if step.id in ends or (held := _held_up(step, events)) is None:
            continue
        for freeze in _freezes(ledger, record, step, now):
            if freeze.until is None:
                there = ready_at(step, ends, record.opened_at) is not None and not held
                return Expected(
                    forecast=None, why_not=f"it {'waits' if there else 'will wait'} for a thaw: {freeze}"
                )
            until = max(freeze.until, frozen[step.id].until) if step.id in frozen else freeze.until
            frozen[step.id] = Frost(until=until, at_end=held)
    try:
        openings = _openings(record, ends, events, now, minimum_s)
    except CalendarError as error:
        return Expected(forecast=None, why_not=f"its windows can't be followed: {error}")
    earlier = ledger.succeeded_before(record.pipeline, now, EARLIER)
    histories = [(r.plan.shape, r.opened_at, ledger.events(r.release_id, kinds=ENDS)) for r in earlier]
    known = Known(
        opened_at=record.opened_at,
        ended=ends,
        took={id_: tuple(seconds) for id_, seconds in took(histories).items()},
        releases=len(earlier),
        openings=openings,
        frozen=frozen,
    )
    made = forecast(shape, known, now, seed=record.release_id, minimum_s=minimum_s)
    says = tuple(_says(shape, late, ledger.votes.gate(record.release_id, late.gate)) for late in made.late)
    return Expected(forecast=made, says=says)


def _held_up(step: Step, events: Sequence[Event]) -> bool | None:
    """Say whether a freeze holds a step up: None if not, True if only before its last act.

    What has begun, and what only watches, goes on; but the new version is not made the stable one.
    """
    if not step.changes or step.kind in BESIDES or not step.environment:
        return None
    begun = [e for e in events if e.kind is Kind.CHANGE_STARTED and e.step == step.id]
    if step.kind is StepKind.ROLL or not (begun or step.kind in WATCHES):
        return False  # a rolling change waits between two waves, too
    promoted = any(e.data.get("promoted") for e in begun)
    return True if step.args.get("promotes") and not promoted else None


def _freezes(ledger: Ledger, record: ReleaseRecord, step: Step, now: datetime) -> list[Freeze]:
    """Return the freezes that hold up a step, but for those that people have let the release past."""
    shape = record.plan.shape
    found = ledger.freezes.holding(shape.pipeline, step.environment, shape.labels)
    gate = let_past(ledger, record, step, PAST_FREEZE, now) if found else None
    return [f for f in found if gate is None or not f.unless or f.id not in gate.past]


def _stopped(events: Sequence[Event]) -> str:
    held: Event | None = None
    failed: dict[str, str] = {}
    for event in events:
        if event.kind in _STOPS:
            return _STOPS[event.kind]
        if event.kind in (Kind.RELEASE_HELD, Kind.RELEASE_RESUMED):
            held = event if event.kind is Kind.RELEASE_HELD else None
        if event.kind in (Kind.STEP_FAILED, Kind.STEP_REFUSED) and event.step and event.data.get("final"):
            failed[event.step] = str(event.data.get("message") or "")
        if event.kind in (Kind.STEP_STARTED, Kind.STEP_FINISHED) and event.step:
            failed.pop(event.step, None)
    if failed:
        step, why = next(iter(failed.items()))
        return f"{step} has failed: {why}"
    return f"it is held by {held.actor.name or held.actor.id}" if held is not None else ""


def _openings(
    record: ReleaseRecord,
    ended: dict[str, datetime],
    events: Sequence[Event],
    now: datetime,
    minimum_s: float,
) -> dict[str, Openings]:
    shape, found = record.plan.shape, {}
    for step in shape.steps:
        if step.kind is not StepKind.WINDOW or step.id in ended or record.plan.options.emergency:
            continue
        gate, who = Gate.of(in_force(step, events)), starter(record.started_by)
        try:
            closed = gate.closed(now, now + AHEAD, who)
        except CalendarError:
            closed = gate.closed(now, now + NEAR, who)
        found[step.id] = Openings(closed=closed, need_s=needed_time(shape, step, step, minimum_s))
    return found


def _says(shape: Shape, late: Late, gate: GateState | None) -> str:
    """Say what will be missed at this pace, and whom to ask."""
    people = [p.name or p.id for p in gate.awaited] if gate is not None else []
    ask = f": ask {' or '.join(people[:3])} now" if people else ""
    where = shape.step(late.window).environment
    return (
        f"at this pace the approval at {late.gate} will miss the closing of {where} at "
        f"{stamp(late.closes_at)}{ask}"
    )
