"""Did every change of an environment come after the decisions that it needed?

The record is looked at again as it was before each change, and the question that its step asked then is asked
again by the same function: :func:`relman_plugins.ledger.api.check_forward`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from relman_plugins.calendars.gate import Gate, starter
from relman_plugins.calendars.weekly import Answer
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.domain.status import Verdict
from relman_plugins.errors import Aborted, CalendarError, Held, Refused, Superseded
from relman_plugins.evidence.record import Evidence
from relman_plugins.ledger.api import GateState, ReleaseRecord, check_forward, let_past, moment_of, state_of
from relman_plugins.plan.ends import BESIDES
from relman_plugins.plan.in_force import in_force
from relman_plugins.plan.model import PAST_FREEZE, PAST_WINDOW, Step, StepKind
from relman_plugins.strategies.api import same_revision

_STOPS = (Kind.RELEASE_HELD, Kind.ABORT_REQUESTED, Kind.RELEASE_SUPERSEDED)

MOMENT = timedelta(seconds=60)
"""What a step that was let through may take until its change is recorded: a stop that was said, an approval
that ran out or a window that closed meanwhile did not let it through wrongly."""


MOST = 2000
"""Changes of one release that are asked about again: it makes a few, or one for each wave of a rolling."""


class Begun(NamedTuple):
    """A change of an environment, as it was recorded first."""

    event: Event
    at: datetime
    """When it was recorded, by the ledger's clock."""
    step: Step | None
    """The plan's step, None for what relman does beside it."""
    forward: bool
    """Whether it needs leave: it brings the release's version nearer to users, or makes an environment."""
    first: bool
    """Whether the stage had changed nothing before."""
    strange: str
    """The version that is given traffic though it is neither the release's nor what was there before."""


class Past:
    """The ledger as it was before an event, for one release."""

    def __init__(self, record: ReleaseRecord, events: list[Event]) -> None:
        self._record, self._events = record, events

    @property
    def votes(self) -> Past:
        """Where it is said how a gate stands."""
        return self

    def release(self, release_id: str) -> ReleaseRecord | None:
        """Return the release."""
        return self._record if release_id == self._record.release_id else None

    def events(self, release_id: str, *, kinds: Collection[Kind] | None = None) -> list[Event]:
        """Return what was recorded by then."""
        return [e for e in self._events if kinds is None or e.kind in kinds]

    def gate(self, release_id: str, gate: str) -> GateState | None:
        """Return a gate as it stood."""
        return state_of([e for e in self._events if e.step == gate])


def begun(evidence: Evidence) -> list[Begun]:
    """Return every change of an environment, in order."""
    steps = {s.id: s for s in evidence.record.plan.shape.steps}
    recorded = {link.id: moment_of(link.recorded_at) for link in evidence.links}
    started: dict[str, Event] = {}
    before: dict[str | None, Revision | None] = {}
    built: Revision | None = None
    asked_back: set[str | None] = set()
    changed: set[str | None] = set()
    found = []
    for event in evidence.events:
        if event.kind is Kind.ARTIFACT_BUILT:
            built = Revision.model_validate(event.data["revision"])
        if event.kind is Kind.ROLLBACK_REQUESTED:
            asked_back.add(event.environment)
        if event.kind not in (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED):
            continue
        # The end of what was looked at when it began. Traffic that is taken back does not wait for the
        # record: it may have an end only.
        name = event.key.removesuffix(event.kind.value)
        if event.kind is Kind.CHANGE_FINISHED and name in started and _ends(event, started[name]):
            continue
        if event.kind is Kind.CHANGE_STARTED:
            started[name] = event
        was = before.setdefault(event.environment, _revision(event.data.get("previous")))
        desired = DesiredState.model_validate(event.data["desired"])
        given = [r for r in (desired.stable, desired.candidate) if r is not None]
        step = steps.get(event.step or "")
        # A way back that fails puts in again what it found; so does one from a version to itself.
        stays = event.environment in asked_back or (step is not None and step.kind in BESIDES)
        stays = stays and same_revision(_revision(event.data.get("previous")), built)
        own = any(same_revision(r, built) for r in given) and not stays
        odd = [r.version for r in given if not same_revision(r, built) and not same_revision(r, was)]
        makes = step is not None and step.kind is StepKind.PROVISION
        stage = step.stage if step is not None else None
        at, forward = recorded[event.id], own or makes
        found.append(Begun(event, at, step, forward, stage not in changed, ", ".join(odd)))
        changed |= {stage} if forward else set()
    return found


def _ends(end: Event, start: Event) -> bool:
    """Say whether an event is the end of just the change that another one began."""
    same = (end.step, end.environment) == (start.step, start.environment)
    return same and all(end.data.get(name) == start.data.get(name) for name in ("desired", "previous"))


def changes(evidence: Evidence) -> Iterator[str]:
    """Check every change, and ask again for each that went forward."""
    found = begun(evidence)
    if found and evidence.record.plan.options.dry_run:
        yield "a dry run changes nothing, and changes are recorded"
    if len(found) > MOST:
        yield f"there are more than {MOST} changes, and that is no release that relman made"
        return
    for change in found:
        where = f"event {change.event.id} ({change.event.kind}) at {change.at:%Y-%m-%d %H:%M:%S} UTC"
        if change.strange:
            yield f"{where}: {change.strange} is neither what the release built nor what was there before"
        if change.forward:
            yield from (f"{where}: {problem}" for problem in _leave(evidence, change))
    yield from _let_past(evidence)


def _let_past(evidence: Evidence) -> Iterator[str]:
    """What went past a freeze or a closed window was let past it, by those whom the plan names."""
    for event in evidence.of(Kind.FREEZE_PASSED, Kind.WINDOW_PASSED):
        step = next((s for s in evidence.record.plan.shape.steps if s.id == event.step), None)
        book = Past(evidence.record, [e for e in evidence.events if e.id < event.id])
        freezes, denied = event.data.get("freezes") or (), event.data.get("past") or ()
        past: set[int | str] = {*(int(f["id"]) for f in freezes), *map(str, denied)}
        firm = any(f.get("unless") != "approved" for f in freezes)
        name = PAST_FREEZE if event.kind is Kind.FREEZE_PASSED else PAST_WINDOW
        gate = let_past(book, evidence.record, step, name, event.at) if step is not None and past else None
        if firm or gate is None or not past <= gate.past:
            what = "a freeze" if event.kind is Kind.FREEZE_PASSED else "a closed window"
            yield f"event {event.id}: {event.step} went past {what} without an approval that lets it"


def _leave(evidence: Evidence, change: Begun) -> Iterator[str]:
    event, step = change.event, change.step
    if step is None:
        yield f"the plan has no step {event.step}, so nothing let it change anything"
        return
    if not step.changes:
        yield f"step {step.id} changed an environment, which the plan does not let it do"
        return
    if event.environment != step.environment:
        yield f"step {step.id} changed {event.environment}, the plan says {step.environment}"
    before = [e for e in evidence.events if e.id < event.id]
    yield from _more_than_planned(evidence, step, [*before, event])
    yield from _needed(evidence, step, before)
    if _follows(event, step, before):
        yield from _judged(evidence, step, before)
    yield from _refused(evidence, change, step, before)
    if not evidence.record.plan.options.emergency:
        yield from _windows(evidence, change, step, before)


def _needed(evidence: Evidence, step: Step, before: list[Event]) -> Iterator[str]:
    """Every step that this one needs has a recorded end, or was approved."""
    ended = {e.step for e in before if e.kind is Kind.STEP_FINISHED}
    ended |= {e.step for e in before if e.kind is Kind.GATE_DECIDED and e.data["state"] == "approved"}
    if missing := [id_ for id_ in step.needs if id_ not in ended]:
        yield f"step {step.id} went on though {', '.join(missing)} had not ended well"
    for id_ in step.needs:
        yield from _judged(evidence, evidence.record.plan.shape.step(id_), before)


def _judged(evidence: Evidence, step: Step, before: list[Event]) -> Iterator[str]:
    """The numbers of a step were good, or people took the undecided ones for good."""
    name = step.args.get("analysis")
    own = [e for e in before if e.step == step.id]
    if not name:
        return
    if _first_deploy(evidence, step, before):
        # Limits are looked at once all traffic has moved. Who compares has nothing to compare with, and asks.
        compares = evidence.record.plan.shape.analysis(name).compares
        if not compares or not any(e.kind is Kind.CHANGE_STARTED for e in own):
            return
    good = any(e.kind is Kind.ANALYSIS_FINISHED and e.data["verdict"] == Verdict.PASS.value for e in own)
    taken = any(e.kind is Kind.GATE_DECIDED and e.data["state"] == "approved" for e in own)
    bad = any(e.kind is Kind.ANALYSIS_FINISHED and e.data["verdict"] == Verdict.FAIL.value for e in own)
    if bad or not (good or taken):
        yield f"step {step.id} was gone on from without a good verdict of {step.args['analysis']!r}"


def _first_deploy(evidence: Evidence, step: Step, before: list[Event]) -> bool:
    """Say whether nothing else was in the environment: then there is nobody to share traffic with."""
    stage = {s.id for s in evidence.record.plan.shape.steps if s.stage == step.stage}
    moved = [e for e in before if e.step in stage and e.kind in (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED)]
    built = [_revision(e.data["revision"]) for e in before if e.kind is Kind.ARTIFACT_BUILT]
    was = _revision(moved[0].data.get("previous")) if moved else None
    return bool(moved) and (was is None or same_revision(was, built[-1] if built else None))


def _follows(event: Event, step: Step, before: list[Event]) -> bool:
    """Say whether a change follows from a step's numbers: judged is its first one, or it only watches.

    Another try of the step makes its first change once more.
    """
    own = [e.data["desired"] for e in before if e.step == step.id and e.kind is Kind.CHANGE_STARTED]
    return step.kind is StepKind.MONITOR or bool(own and own[0] != event.data["desired"])


def _more_than_planned(evidence: Evidence, step: Step, events: list[Event]) -> Iterator[str]:
    weight, desired = step.args.get("weight"), DesiredState.model_validate(events[-1].data["desired"])
    given = desired.candidate_weight if desired.candidate is not None else 100
    if weight is None or _first_deploy(evidence, step, events):
        return
    if given > int(weight):
        yield f"step {step.id} gave {given} % of the traffic, the plan says {weight} %"


def _refused(evidence: Evidence, change: Begun, step: Step, before: list[Event]) -> Iterator[str]:
    record, book = evidence.record, Past(evidence.record, before)

    def asked(now: datetime) -> Refused | None:
        try:
            # What the systems of tickets said just then is on record.
            check_forward(
                book, record.release_id, step, frame=record.plan.shape.frame, now=now, looked=step.gates
            )
        except Refused as error:
            return error
        return None

    error = asked(change.at)
    if isinstance(error, Held | Aborted | Superseded):
        stop = [e for e in before if e.kind in _STOPS]
        error = error if not stop or change.at - stop[-1].at > MOMENT else None
    if error is not None and (earlier := _let_through(change, step, before)) < change.at:
        error = error if asked(earlier) is not None else None
    if error is not None:
        yield str(error)


def _let_through(change: Begun, step: Step, before: list[Event]) -> datetime:
    """Return when the step was let through at the earliest: at its last word before, or a moment before."""
    seen = [e.at for e in before if e.step == step.id and e.kind in (Kind.TICKET_CHECKED, Kind.STEP_STARTED)]
    return max([change.at - MOMENT, *(at for at in seen if at <= change.at)])


def _windows(evidence: Evidence, change: Begun, step: Step, before: list[Event]) -> Iterator[str]:
    at = change.at
    for gate in (evidence.record.plan.shape.step(id_) for id_ in step.gates):
        if gate.kind is not StepKind.WINDOW:
            continue
        again = gate.args.get("on_close") is not None and _moves_on(change.event, step, before)
        if not change.first and not again:
            continue
        try:
            closed = []
            for t in (at, at - MOMENT):
                # A step looks, and then takes the lock: what was recorded meanwhile it could not know.
                asked = Gate.of(in_force(gate, [e for e in before if e.at <= t]))
                if not (said := _said(evidence, asked, step, before, t)).open:
                    closed.append(said)
        except CalendarError as error:
            yield f"whether {gate.id} was open can't be said: {error}"
            continue
        if len(closed) == 2:
            yield f"{gate.id} was closed: {'; '.join(closed[0].reasons)}"


def _said(evidence: Evidence, gate: Gate, step: Step, before: list[Event], at: datetime) -> Answer:
    """Return what a gate says at a time; open, too, when people had let the release past what closes it."""
    who = starter(evidence.record.started_by)
    allowed = let_past(Past(evidence.record, before), evidence.record, step, PAST_WINDOW, at)
    return gate.answer(at, who, [*map(str, allowed.past)] if allowed is not None else ())


def _moves_on(event: Event, step: Step, before: list[Event]) -> bool:
    """Say whether a change is the next one of its stage: not another try, nor what follows from one."""
    own = [e.data["desired"] for e in before if e.step == step.id and e.kind is Kind.CHANGE_STARTED]
    if step.kind is StepKind.ROLL:
        return event.data["desired"] not in own
    return not own and step.kind in (StepKind.DEPLOY, StepKind.PREVIEW, StepKind.SHIFT)


def _revision(data: Any) -> Revision | None:
    return Revision.model_validate(data) if data else None
