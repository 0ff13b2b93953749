"""What is known of an approval gate, read from the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field, computed_field
from sqlalchemy import Connection, select

from relman_plugins.domain.approval import Ballot, Escalation, Lacking, Panel, Rule
from relman_plugins.domain.base import Frozen
from relman_plugins.domain.condition import NotNeeded
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Person
from relman_plugins.domain.status import Decision
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.record import event_of
from relman_plugins.ledger.rules import ballot, escalation_of, recorded, stuck
from relman_plugins.plan.model import EXCEPTIONS, Shape

DEBT = "break_glass"
"""Name, within its stage, of the gate at which skipped rules are approved afterwards."""


def debt_of(stage: str | None) -> str:
    """Return the id of a stage's gate for afterwards; no step has it, and no task asks."""
    return f"{stage}.{DEBT}"


def place_of(shape: Shape, gate: str) -> str | None:
    """Return the environment of a gate, also of one that is no step of the plan; None when it has none."""
    stage, _, name = gate.rpartition(".")
    extra = name in (*EXCEPTIONS, DEBT)
    return next((s.environment for s in shape.steps if gate == s.id or (extra and s.stage == stage)), None)


THAW = "thaw"
"""What has decided a gate for an exception when what that was from is over."""

GATE_KINDS = (
    Kind.GATE_OPENED,
    Kind.GATE_VOTED,
    Kind.GATE_VOTE_WITHDRAWN,
    Kind.GATE_ESCALATED,
    Kind.GATE_DECIDED,
    Kind.GATE_SETTLED,
)
"""The events that say how a gate stands."""

State = Literal["open", "approved", "rejected", "expired", "superseded"]
OnTimeout = Literal["reject", "expire"]


class Vote(Frozen):
    """One person's answer."""

    person: str
    """Id of the person in the People document."""
    name: str
    decision: Decision
    comment: str
    via: str
    at: datetime
    """UTC."""
    answers: dict[str, Any] = Field(default_factory=dict)
    """What was said beside yes or no: fields of a rule, or items of a checklist."""
    not_before: datetime | None = None
    """UTC; when the voter wants an approval to take effect; None: at once."""


class Settlement(Frozen):
    """What was done about a rejection of what an emergency skipped."""

    how: Literal["acknowledged", "rolled_back"]
    by: str
    """Id of the person who said so, or asked for the rollback; empty when it went back by itself."""
    name: str
    reason: str
    at: datetime
    """UTC."""


class GateState(Frozen):
    """An approval gate in its current round."""

    release_id: str
    gate: str
    """Id of the gate's step."""
    round: int
    """From 1; a new round begins when something else is to be approved. Older votes don't count in it."""
    state: State
    subject: dict[str, Any]
    """What exactly is approved."""
    subject_digest: str
    people: tuple[Person, ...]
    """Who may answer."""
    quorum: int
    """How many must approve, by all rules together."""
    rules: tuple[Rule, ...]
    """All of them are needed, and one person counts for one of them."""
    not_needed: tuple[NotNeeded, ...] = ()
    """Rules that the risk of the release does not ask for, and why."""
    own: dict[str, str] = Field(default_factory=dict)
    """Whose own release it is: Airflow user → ``started it``, ``wrote commits in it``."""
    on_timeout: OnTimeout
    votes: tuple[Vote, ...]
    """The votes of this round that were not withdrawn, in order."""
    counts: dict[str, str] = Field(default_factory=dict)
    """Which rule an approval counts for, by the person's id; others may change that."""
    missing: int
    """Approvals still missing; 0 unless the gate is open."""
    lacking: tuple[Lacking, ...] = ()
    """What each rule lacks, and who can still give it; none unless the gate is open."""
    impossible: str = ""
    """Why the people of an open gate can't meet its rules, in words."""
    opened_at: datetime
    """UTC."""
    expires_at: datetime
    """UTC; a vote at or after it is refused."""
    escalate: Escalation | None = None
    """Who else may answer when nobody has decided for a time."""
    escalated_at: datetime | None = None
    """UTC; since when they may; their names are in ``rules`` from then on."""
    debt: bool = False
    """Whether it approves afterwards what an emergency has skipped: nothing waits for it, it has no end."""
    remind_s: float | None = None
    """Seconds between reminders of those who can still answer; None: nobody is reminded."""
    asker: str = ""
    """Id of the step whose task asks: the gate's own, or one that waits since an approval has run out."""
    renews: int | None = None
    """The round whose approval had run out when this one was opened."""
    valid_for_s: float | None = None
    """Seconds for which an approval holds, from its effect; None: without end."""
    effect_at: datetime | None = None
    """UTC; the latest time that somebody who approved has set for it to take effect; None: at once."""
    decided_at: datetime | None = None
    """UTC."""
    decided_by: str = ""
    """Id of the person whose vote decided, or of the release that superseded; ``timeout`` when nobody did."""
    comment: str = ""
    """What was said with the decision."""
    settled: Settlement | None = None
    """What was done about a rejection afterwards (``debt``); None: nothing is on record."""
    answers: dict[str, str] = Field(default_factory=dict)
    """What was said of the items of a checklist, by id, with the decision."""

    @property
    def past(self) -> frozenset[int | str]:
        """Return what an exception is about: the ids of freezes, or of a calendar's closings."""
        return frozenset(self.subject.get("past") or ())

    @property
    def is_final(self) -> bool:
        """Say whether no new round begins, whatever is to be approved: not so of what a thaw has ended."""
        return self.state in ("rejected", "expired", "superseded") and self.decided_by != THAW

    @property
    def is_owed(self) -> bool:
        """Say whether something is still to be done about what an emergency skipped."""
        return self.debt and self.state != "approved" and self.settled is None

    @property
    def can_wait(self) -> bool:
        """Say whether an approval may take effect later: only one that comes before a change."""
        return "step" not in self.subject

    def stands_for(self, digest: str) -> bool:
        """Say whether no new round begins for a question by its digest: it was asked, and not laid down."""
        return self.is_final or (self.subject_digest == digest and self.decided_by != THAW)

    @property
    def panel(self) -> Panel:
        """Return the rules with the people they call on, and whose own release it is."""
        known = Panel(rules=self.rules, people=self.people, own=self.own)
        for vote in self.votes:
            known = known.known_as(self.user_of(vote.person), vote.name)
        return known

    @property
    def ballots(self) -> list[Ballot]:
        """Return the approvals, for the question what they count for."""
        said, panel = [v for v in self.votes if v.decision is Decision.APPROVE], self.panel
        return [ballot(panel, self.user_of(v.person), v.comment, v.answers) for v in said]

    @property
    def awaited(self) -> tuple[Person, ...]:
        """Return those whose approval would help; where nobody's would, those who can still say no."""
        ids = {id_ for one in self.lacking for id_ in (*one.people, *one.again)}
        voted = {v.person for v in self.votes}
        return tuple(p for p in self.people if (p.id in ids if ids else p.id not in voted))

    @property
    def escalates_at(self) -> datetime | None:
        """Return from when the second group may answer; None when there is none."""
        return self.opened_at + timedelta(seconds=self.escalate.after_s) if self.escalate else None

    def too_early(self, person: str) -> str:
        """Return why somebody (by id) may not answer yet, in words; empty for whoever may, or never may."""
        second, at = self.escalate, self.escalates_at
        if second is None or at is None or self.escalated_at is not None or person not in second.people:
            return ""
        if any(person in rule.people for rule in self.rules):
            return ""
        return f"{second.group} may answer from {at:%Y-%m-%d %H:%M:%S} UTC on, while nobody has decided"

    def user_of(self, person: str) -> str:
        """Return the Airflow user of a person of this gate; of others the id, which is nobody's."""
        return next((p.airflow for p in self.people if p.id == person), f"?{person}")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def valid_until(self) -> datetime | None:
        """Return when the approval runs out; None while there is none, or when it holds without end."""
        if self.state != "approved" or self.decided_at is None or self.valid_for_s is None:
            return None
        return max(self.decided_at, self.effect_at or self.decided_at) + timedelta(seconds=self.valid_for_s)


def gate_state(conn: Connection, release_id: str, gate: str) -> GateState | None:
    """Return a gate in its latest round; None when it was never opened."""
    query = (
        select(t.event)
        .where(
            t.event.c.release_id == release_id,
            t.event.c.step == gate,
            t.event.c.kind.in_([kind.value for kind in GATE_KINDS]),
        )
        .order_by(t.event.c.id)
    )
    return state_of([event_of(row) for row in conn.execute(query).mappings()])


def state_of(events: Sequence[Event]) -> GateState | None:
    """Return a gate in its latest round by its events, oldest first; None when it was never opened."""
    opened = next((e for e in reversed(events) if e.kind is Kind.GATE_OPENED), None)
    if opened is None:
        return None
    data = opened.data
    decided = next(
        (e for e in events if e.kind is Kind.GATE_DECIDED and e.data["round"] == data["round"]), None
    )
    escalated = next(
        (e.at for e in events if e.kind is Kind.GATE_ESCALATED and e.data["round"] == data["round"]), None
    )
    state = _state(opened, decided, _votes(events, data["round"]), escalated)
    return counted(state.model_copy(update={"settled": _settled(events, data["round"])}))


def _state(
    opened: Event, decided: Event | None, votes: tuple[Vote, ...], escalated_at: datetime | None
) -> GateState:
    data, panel = opened.data, recorded(opened.data, escalated=escalated_at is not None)
    later = [v.not_before for v in votes if v.not_before and v.decision is Decision.APPROVE]
    return GateState(
        release_id=opened.release_id,
        gate=opened.step or "",
        round=data["round"],
        state=decided.data["state"] if decided else "open",
        subject=data["subject"],
        subject_digest=data["subject_digest"],
        people=panel.people,
        quorum=data["quorum"],
        rules=panel.rules,
        not_needed=tuple(NotNeeded.model_validate(one) for one in data.get("not_needed") or ()),
        own=panel.own,
        on_timeout=data["on_timeout"],
        votes=votes,
        missing=0,
        opened_at=opened.at,
        expires_at=datetime.fromisoformat(data["expires_at"]),
        escalate=escalation_of(data),
        escalated_at=escalated_at,
        debt=bool(data.get("debt")),
        remind_s=data.get("remind_s"),
        asker=data.get("asker") or opened.step or "",
        renews=data.get("renews"),
        valid_for_s=data.get("valid_for_s"),
        effect_at=max(later, default=None),
        decided_at=decided.at if decided else None,
        decided_by=decided.data["by"] if decided else "",
        comment=decided.data["comment"] if decided else "",
        answers=decided.data.get("answers", {}) if decided else {},
    )


def counted(state: GateState) -> GateState:
    """Return a gate with what its votes count for and, while it is open, what it lacks."""
    panel, ballots = state.panel, state.ballots
    placed = panel.counted(ballots)
    people = {v.person: placed[user] for v in state.votes if (user := state.user_of(v.person)) in placed}
    found: dict[str, Any] = {"counts": people}
    if state.state == "open":
        found["missing"] = panel.needed - len(placed)
        found["lacking"] = panel.lacking(ballots)
        found["impossible"] = stuck(panel)
    return state.model_copy(update=found)


def _settled(events: Sequence[Event], round_: int) -> Settlement | None:
    said = (e for e in events if e.kind is Kind.GATE_SETTLED and e.data["round"] == round_)
    found = next(said, None)
    if found is None:
        return None
    who, data = found.actor, found.data
    by = who.id if who.kind == "person" else ""
    return Settlement(how=data["how"], by=by, name=who.name, reason=data["reason"], at=found.at)


def _votes(events: Sequence[Event], round_: int) -> tuple[Vote, ...]:
    found: dict[str, Vote] = {}
    for e in events:
        if e.data.get("round") != round_:
            continue
        if e.kind is Kind.GATE_VOTE_WITHDRAWN:
            found.pop(e.data["person"], None)
        elif e.kind is Kind.GATE_VOTED:
            found[e.data["person"]] = Vote(
                person=e.data["person"],
                name=e.actor.name,
                decision=e.data["decision"],
                comment=e.data["comment"],
                via=e.data["via"],
                at=e.at,
                answers=e.data.get("answers") or {},
                not_before=e.data.get("not_before"),
            )
    return tuple(found.values())
