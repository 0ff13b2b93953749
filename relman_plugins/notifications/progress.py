"""How far each stage of a release is: plan and events in, one mark and one line per stage out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from relman_plugins.domain.event import Event, Kind
from relman_plugins.notifications.text import code, count, moment, plain
from relman_plugins.plan.ends import BESIDES
from relman_plugins.plan.model import ReleasePlan, Step, StepKind


class Mark(StrEnum):
    """How far a stage is; the value is what people see."""

    PENDING = "▫️"
    RUNNING = "🔵"
    WAITING = "✋"
    DONE = "✅"
    FAILED = "❌"
    STOPPED = "⛔"
    ROLLED_BACK = "↩️"


class Stage(NamedTuple):
    """One line of the stage list."""

    name: str
    mark: Mark
    detail: str
    """Escaped; may be empty."""
    waiting: str | None = None
    """Id of the gate that is waited at."""
    times: str = ""
    """Since when and until when it is waited. Escaped; kept out of ``detail``, which should fit a phone."""


_ENDS = {
    StepKind.BUILD: Kind.ARTIFACT_BUILT,
    StepKind.ASSESS: Kind.CHANGE_ASSESSED,
    StepKind.PROVISION: Kind.ENVIRONMENT_PROVISIONED,
    StepKind.TEARDOWN: Kind.ENVIRONMENT_REMOVED,
    StepKind.DEPLOY: Kind.CHANGE_FINISHED,
    StepKind.PREVIEW: Kind.CHANGE_FINISHED,
    StepKind.SUITE: Kind.SUITE_FINISHED,
    StepKind.CHECKLIST: Kind.SUITE_FINISHED,
    StepKind.APPROVAL: Kind.GATE_DECIDED,
    StepKind.MONITOR: Kind.ANALYSIS_FINISHED,
}
"""The event after which a step has done what it is for; ``step.finished`` always is one."""

_BACK = (Kind.TRAFFIC_WITHDRAWN, Kind.ROLLBACK_FINISHED)


def stages(plan: ReleasePlan, events: Iterable[Event]) -> list[Stage]:
    """Return the stages in the plan's order, ``build`` first when something is built."""
    seen = list(events)
    closed = next((e for e in seen if e.kind is Kind.RELEASE_CLOSED), None)
    succeeded = closed is not None and closed.data.get("outcome") == "succeeded"
    groups: dict[str, list[Step]] = {}
    for step in plan.shape.steps:
        if step.kind not in (StepKind.OPEN, StepKind.CLOSE, StepKind.FOLLOW_UP):
            groups.setdefault(step.stage or step.id, []).append(step)
    found: list[Stage] = []
    later = succeeded
    for name, steps in reversed(groups.items()):
        ids = {s.id for s in steps}
        own = [e for e in seen if e.step in ids]
        mark = _mark(steps, own, passed=later, closed=closed is not None)
        gate = _open_gate(own) if mark is Mark.WAITING else None
        waiting = (gate.step, _times(gate)) if gate else (None, "")
        found.append(Stage(name, mark, _detail(own, gate), *waiting))
        later = later or bool(own)
    return found[::-1]


def _mark(steps: Sequence[Step], own: Sequence[Event], *, passed: bool, closed: bool) -> Mark:
    if not own:
        return Mark.DONE if passed else Mark.PENDING
    if any(e.kind in _BACK for e in own):
        return Mark.ROLLED_BACK
    last = {step.id: [e for e in own if e.step == step.id] for step in steps}
    states = {step.id: _state(step, last[step.id]) for step in steps}
    for mark in (Mark.STOPPED, Mark.FAILED):
        if mark in states.values():
            return mark
    if passed or all(states[s.id] is Mark.DONE for s in steps if s.kind not in BESIDES):
        return Mark.DONE
    if closed:
        return Mark.STOPPED
    return Mark.WAITING if Mark.WAITING in states.values() else Mark.RUNNING


def _state(step: Step, own: Sequence[Event]) -> Mark:
    """Return how far one step is; what happened last counts, since a step may be tried again."""
    for event in reversed(own):
        match event.kind:
            case Kind.STEP_FAILED:
                decided = next((e for e in reversed(own) if e.kind is Kind.GATE_DECIDED), None)
                said_no = decided is not None and decided.data.get("state") != "approved"
                return Mark.STOPPED if said_no else Mark.FAILED
            case Kind.STEP_REFUSED:
                return Mark.STOPPED
            case Kind.SUITE_FINISHED if not event.data.get("passed"):
                return Mark.FAILED
            case Kind.GATE_DECIDED if event.data.get("state") != "approved":
                return Mark.STOPPED
            case Kind.ANALYSIS_FINISHED if event.data.get("verdict") == "fail":
                return Mark.FAILED
            case Kind.GATE_OPENED:
                return Mark.WAITING
            case Kind.STEP_FINISHED:
                return Mark.DONE
            case kind if kind is _end(step):
                return Mark.DONE
    return Mark.RUNNING if own else Mark.PENDING


def _end(step: Step) -> Kind | None:
    if step.kind is StepKind.SHIFT:
        return Kind.ANALYSIS_FINISHED if step.args.get("analysis") else Kind.CHANGE_FINISHED
    return _ENDS.get(step.kind)


def _detail(own: Sequence[Event], gate: Event | None) -> str:
    parts = [_waiting(own, gate)] if gate is not None else [_traffic(own)]
    suites = {e.data.get("suite"): e.data for e in own if e.kind is Kind.SUITE_FINISHED}
    if suites:
        bad = sum(int(s.get("failures", 0)) + int(s.get("errors", 0)) for s in suites.values())
        parts.append(count(sum(int(s.get("tests", 0)) for s in suites.values()), "test"))
        parts += [f"{bad} failed"] if bad else []
    return ", ".join(p for p in parts if p)


def _open_gate(own: Sequence[Event]) -> Event | None:
    return next((e for e in reversed(own) if e.kind is Kind.GATE_OPENED), None)


def _waiting(own: Sequence[Event], gate: Event) -> str:
    """Say who is still missing."""
    round_ = gate.data.get("round", 1)
    said: set[str] = set()
    for e in own:
        if e.step == gate.step and e.data.get("round", round_) == round_:
            person = {str(e.data.get("person"))}
            said = said | person if e.kind is Kind.GATE_VOTED else said
            said = said - person if e.kind is Kind.GATE_VOTE_WITHDRAWN else said
    people = [p for p in gate.data.get("people") or [] if p.get("id") not in said]
    names = [plain(p.get("name") or p.get("id"), 60) for p in people[:5]]
    more = [f"{len(people) - 5} more"] if len(people) > 5 else []
    quorum = gate.data.get("quorum", 1)
    yes = f" ({len(said)} of {quorum} approved)" if said else ""
    return f"waits for {', '.join(names + more) or 'an approval'}{yes}"


def _times(gate: Event) -> str:
    until = f", until {moment(gate.data['expires_at'])}" if gate.data.get("expires_at") else ""
    return f"since {moment(gate.at)}{until}"


def _traffic(own: Sequence[Event]) -> str:
    if own and own[-1].kind is Kind.TICKET_WAITED:
        return f"waits for the ticket {code(own[-1].data.get('number', '?'))}"
    if own and own[-1].kind is Kind.WINDOW_WAITED:
        opens = own[-1].data.get("next_open")
        return "waits for its window" + (f", which opens {moment(opens)}" if opens else "")
    last = next((e for e in reversed(own) if e.kind in (Kind.CHANGE_FINISHED, *_BACK)), None)
    if last is None or last.kind in _BACK:
        return "traffic is back at the old version" if last else ""
    desired = last.data.get("desired") or {}
    live = last.data.get("stable") if last.data.get("promoted") else None
    if live or not desired.get("candidate"):
        version = (live or desired.get("stable") or {}).get("version")
        return f"{code(version)} is live" if version else ""
    return f"{code(desired['candidate'].get('version'))} gets {desired.get('candidate_weight', 0)} %"
