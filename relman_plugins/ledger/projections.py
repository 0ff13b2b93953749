"""What the record says at a glance: pure functions from events to a status."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.follow_up import FollowUp, read
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.state import Revision
from relman_plugins.domain.status import Outcome, Verdict
from relman_plugins.domain.ticket import summary
from relman_plugins.ledger.gates import GATE_KINDS, state_of
from relman_plugins.ledger.releases import ReleaseRecord
from relman_plugins.ledger.rollbacks import asked_of
from relman_plugins.ledger.tickets import ticket_in


class Waiting(Frozen):
    """A gate that waits for people."""

    gate: str
    people: tuple[Person, ...]
    """Who may answer."""
    quorum: int
    approvals: int
    """How many approved so far, of those that count."""
    awaited: tuple[Person, ...] = ()
    """Whose approval would help now."""
    impossible: str = ""
    """Why nobody is left who could give what is missing, in words."""
    since: datetime
    """UTC."""
    expires_at: datetime
    """UTC."""


class SuiteTotals(Frozen):
    """The latest run of one test suite in one environment."""

    step: str
    environment: str | None
    suite: str
    tests: int
    failures: int
    errors: int
    skipped: int
    flakes: int = 0
    """Tests that failed and then passed; they are counted as passed."""
    seconds: float
    passed: bool
    failed: tuple[str, ...] = ()
    """Names of the first tests that failed."""
    flaky: tuple[str, ...] = ()
    """Names of the first tests that are flaky."""
    reports: tuple[str, ...] = ()
    """What reports beside the tests say: ``coverage: 81 % of 1200 lines covered``."""


class Shift(Frozen):
    """One finished change of an environment."""

    step: str | None
    environment: str | None
    weight: int
    """Share of the traffic at the candidate, in percent; 100 once it is promoted."""
    promoted: bool
    at: datetime
    """UTC."""


class AnalysisResult(Frozen):
    """What one analysis said at one weight."""

    step: str | None
    analysis: str
    weight: int | None
    verdict: Verdict
    reason: str


class TicketSeen(Frozen):
    """What a change ticket's system said last."""

    gate: str
    """Id of the step that asks for the ticket."""
    number: str
    said: str
    """How the ticket stood, in a line; empty when there was none."""
    lacks: tuple[str, ...] = ()
    """What it lacked then, in words."""
    url: str = ""
    at: datetime
    """UTC."""


class Abort(Frozen):
    """Somebody asked for the release to be aborted."""

    actor: Actor
    reason: str
    at: datetime
    """UTC."""


class FollowUps(Frozen):
    """What is to be done after the release, once people are asked for it."""

    asked: tuple[Person, ...]
    """Who may answer."""
    until: datetime
    """UTC; without an answer by then there are none."""
    answered_by: str = ""
    """Name of the person who did; empty: nobody yet."""
    items: tuple[FollowUp, ...] = ()


class Rollback(Frozen):
    """A rollback that somebody asked for after the release had ended."""

    environment: str
    to: Revision | None
    actor: Actor
    reason: str
    at: datetime
    """UTC; when it was asked for."""
    state: str
    """``asked``, ``finished``, ``refused`` or ``failed``."""
    message: str
    """What became of it so far, in words."""


class Overdue(Frozen):
    """A deadline that the release has missed."""

    stage: str
    """Empty: that of the whole release."""
    due_at: datetime
    """UTC."""
    message: str


class Status(Frozen):
    """Where a release is."""

    release_id: str
    pipeline: str
    version: str
    outcome: Outcome | None = None
    """None while the release is not closed."""
    reason: str = ""
    """Why it ended so."""
    steps: dict[str, str] = Field(default_factory=dict)
    """Step id to ``running``, ``finished``, ``failed`` or ``refused``, as of its latest event."""
    current: tuple[str, ...] = ()
    """Steps that are running."""
    waiting_for: tuple[Waiting, ...] = ()
    takes_effect: datetime | None = None
    """UTC; when an approval takes effect that the release waits for; None: it waits for no such time."""
    tickets: tuple[TicketSeen, ...] = ()
    """Change tickets, as their systems were asked last."""
    held: bool = False
    overdue: tuple[Overdue, ...] = ()
    """Deadlines that it has missed; none once it is closed."""
    abort: Abort | None = None
    artifact: Revision | None = None
    suites: tuple[SuiteTotals, ...] = ()
    """In the order of their first run."""
    shifts: tuple[Shift, ...] = ()
    analyses: tuple[AnalysisResult, ...] = ()
    served: dict[str, int] | None = None
    """Requests that the candidate served out of the total, when traffic was taken from it."""
    message: str = ""
    """The latest message of a step."""
    rollbacks: tuple[Rollback, ...] = ()
    """Asked for after the release had ended; its outcome stays what it was."""
    trace_id: str = ""
    """The release's OpenTelemetry trace; empty when it is not traced."""
    changed_environments: tuple[str, ...] = ()
    """Environments that a change was started in, in that order."""
    opened_at: datetime
    """UTC."""
    closed_at: datetime | None = None
    """UTC."""
    follow_ups: FollowUps | None = None
    """None when nobody was asked."""
    last_event: int = 0
    """Id of the latest event."""


def status_of(record: ReleaseRecord, events: list[Event]) -> Status:
    """Project a release's events, all of them, oldest first."""
    closed = _last(events, Kind.RELEASE_CLOSED)
    abort = _last(events, Kind.ABORT_REQUESTED)
    artifact = _last(events, Kind.ARTIFACT_BUILT)
    withdrawn = _last(events, Kind.TRAFFIC_WITHDRAWN, Kind.ROLLBACK_FINISHED)
    opened = _last(events, Kind.RELEASE_OPENED)
    steps = _steps(events)
    return Status(
        release_id=record.release_id,
        pipeline=record.pipeline,
        version=record.version,
        outcome=Outcome(closed.data["outcome"]) if closed else None,
        reason=closed.data.get("reason", "") if closed else "",
        steps=steps,
        current=() if closed else tuple(s for s, state in steps.items() if state == "running"),
        waiting_for=() if closed else _waiting(events),
        takes_effect=None if closed else _takes_effect(events),
        overdue=() if closed else _overdue(events),
        tickets=_tickets(events),
        held=is_held(events),
        abort=Abort(actor=abort.actor, reason=abort.data.get("reason", ""), at=abort.at) if abort else None,
        artifact=Revision.model_validate(artifact.data["revision"]) if artifact else None,
        suites=_suites(events),
        shifts=tuple(_shift(e) for e in events if e.kind is Kind.CHANGE_FINISHED),
        analyses=tuple(_analysis(e) for e in events if e.kind is Kind.ANALYSIS_FINISHED),
        served=withdrawn.data.get("served") if withdrawn else None,
        message=_message(events),
        rollbacks=tuple(
            Rollback(**{name: getattr(asked, name) for name in Rollback.model_fields})
            for asked in asked_of(events)
        ),
        trace_id=opened.data.get("trace_id", "") if opened else "",
        changed_environments=tuple(
            dict.fromkeys(e.environment for e in events if e.kind is Kind.CHANGE_STARTED and e.environment)
        ),
        opened_at=record.opened_at,
        closed_at=closed.at if closed else None,
        follow_ups=_follow_ups(events),
        last_event=events[-1].id if events else 0,
    )


def is_held(events: list[Event]) -> bool:
    """Say whether the latest word of holding and resuming is hold."""
    last = _last(events, Kind.RELEASE_HELD, Kind.RELEASE_RESUMED)
    return last is not None and last.kind is Kind.RELEASE_HELD


def _takes_effect(events: list[Event]) -> datetime | None:
    """Return the time that the last decision names, unless its gate's step has gone on since."""
    decided = _last(events, Kind.GATE_DECIDED)
    if decided is None or not decided.data.get("effect_at"):
        return None
    gone_on = (Kind.STEP_FINISHED, Kind.STEP_FAILED, Kind.CHANGE_STARTED, Kind.GATE_OPENED)
    if any(e.id > decided.id and e.kind in gone_on for e in events):
        return None
    return datetime.fromisoformat(decided.data["effect_at"])


def stable_of(events: Iterable[Event]) -> Revision | None:
    """Return what an environment's last change or removal left as its stable revision, from those events."""
    stable = None
    for event in events:
        if event.kind is Kind.ENVIRONMENT_REMOVED:
            stable = None
        elif event.kind is Kind.CHANGE_FINISHED and "stable" in event.data:
            found = event.data["stable"]
            stable = Revision.model_validate(found) if found else None
    return stable


def _tickets(events: list[Event]) -> tuple[TicketSeen, ...]:
    latest = {e.data["gate"]: e for e in events if e.kind is Kind.TICKET_CHECKED}
    found = ((gate, e, ticket_in(e)) for gate, e in latest.items())
    return tuple(
        TicketSeen(
            gate=gate,
            number=e.data["number"],
            said=summary(ticket) if ticket else "",
            lacks=tuple(e.data["lacks"]),
            url=ticket.url if ticket else "",
            at=e.at,
        )
        for gate, e, ticket in found
    )


def _message(events: list[Event]) -> str:
    """Return what a step said last; forecasts and deadlines are told apart from that."""
    aside = (Kind.RELEASE_FORECAST, Kind.RELEASE_OVERDUE)
    return next((m for e in reversed(events) if e.kind not in aside and (m := e.data.get("message"))), "")


def _last(events: list[Event], *kinds: Kind) -> Event | None:
    return next((e for e in reversed(events) if e.kind in kinds), None)


_STEP_STATES = {
    Kind.STEP_STARTED: "running",
    Kind.STEP_FINISHED: "finished",
    Kind.STEP_FAILED: "failed",
    Kind.STEP_REFUSED: "refused",
}


def _steps(events: list[Event]) -> dict[str, str]:
    return {e.step: _STEP_STATES[e.kind] for e in events if e.step and e.kind in _STEP_STATES}


def _waiting(events: list[Event]) -> tuple[Waiting, ...]:
    asked = dict.fromkeys(e.step for e in events if e.kind is Kind.GATE_OPENED)
    states = (state_of([e for e in events if e.step == gate and e.kind in GATE_KINDS]) for gate in asked)
    return tuple(
        Waiting(
            gate=gate.gate,
            people=gate.people,
            quorum=gate.quorum,
            approvals=gate.quorum - gate.missing,
            awaited=gate.awaited,
            impossible=gate.impossible,
            since=gate.opened_at,
            expires_at=gate.expires_at,
        )
        for gate in states
        if gate is not None and gate.state == "open" and not gate.debt
    )


def _overdue(events: list[Event]) -> tuple[Overdue, ...]:
    missed = (e.data for e in events if e.kind is Kind.RELEASE_OVERDUE)
    return tuple(Overdue(stage=d["stage"], due_at=d["due_at"], message=d["message"]) for d in missed)


def _follow_ups(events: list[Event]) -> FollowUps | None:
    asked, given = _last(events, Kind.FOLLOW_UP_ASKED), _last(events, Kind.FOLLOW_UP)
    if asked is None:
        return None
    return FollowUps(
        asked=tuple(Person.model_validate(p) for p in asked.data["people"]),
        until=datetime.fromisoformat(asked.data["until"]),
        answered_by=(given.actor.name or given.actor.id) if given else "",
        items=read(given.data) if given else (),
    )


def _suites(events: list[Event]) -> tuple[SuiteTotals, ...]:
    latest: dict[tuple[str | None, str], SuiteTotals] = {}
    for e in events:
        if e.kind is Kind.SUITE_FINISHED:
            fields = {name: e.data[name] for name in SuiteTotals.model_fields if name in e.data}
            told = {
                "failed": [str(t.get("name", "?")) for t in e.data.get("failed") or ()],
                "flaky": [str(t.get("name", "?")) for t in e.data.get("flaky") or ()],
                "reports": [f"{r.get('kind')}: {r.get('reason')}" for r in e.data.get("reports") or ()],
            }
            totals = SuiteTotals(**{**fields, **told, "step": e.step or "", "environment": e.environment})
            latest[e.environment, totals.suite] = totals
    return tuple(latest.values())


def _shift(e: Event) -> Shift:
    promoted = bool(e.data.get("promoted"))
    weight = 100 if promoted else e.data["desired"].get("candidate_weight", 0)
    return Shift(step=e.step, environment=e.environment, weight=weight, promoted=promoted, at=e.at)


def _analysis(e: Event) -> AnalysisResult:
    return AnalysisResult(
        step=e.step,
        analysis=e.data["analysis"],
        weight=e.data.get("weight"),
        verdict=Verdict(e.data["verdict"]),
        reason=e.data.get("reason", ""),
    )
