"""What is known of an approval gate, read from the record."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field, computed_field
from sqlalchemy import Connection, select

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Person
from relman_plugins.domain.status import Decision
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.effect import effect_of
from relman_plugins.ledger.record import event_of

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
    on_timeout: OnTimeout
    votes: tuple[Vote, ...]
    """The votes of this round, in order."""
    missing: int
    """Approvals still missing; 0 unless the gate is open."""
    opened_at: datetime
    """UTC."""
    expires_at: datetime
    """UTC; a vote at or after it is refused."""
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
    answers: dict[str, str] = Field(default_factory=dict)
    """What was said of the items of a checklist, by id, with the decision."""

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
            t.event.c.kind.in_([k.value for k in (Kind.GATE_OPENED, Kind.GATE_VOTED, Kind.GATE_DECIDED)]),
        )
        .order_by(t.event.c.id)
    )
    events = [event_of(row) for row in conn.execute(query).mappings()]
    opened = next((e for e in reversed(events) if e.kind is Kind.GATE_OPENED), None)
    if opened is None:
        return None
    data = opened.data
    decided = next(
        (e for e in events if e.kind is Kind.GATE_DECIDED and e.data["round"] == data["round"]), None
    )
    votes = _votes(conn, release_id, gate, data["round"])
    approved_by = [v.person for v in votes if v.decision is Decision.APPROVE]
    approvals = len(approved_by)
    return GateState(
        release_id=release_id,
        gate=gate,
        round=data["round"],
        state=decided.data["state"] if decided else "open",
        subject=data["subject"],
        subject_digest=data["subject_digest"],
        people=tuple(Person.model_validate(p) for p in data["people"]),
        quorum=data["quorum"],
        on_timeout=data["on_timeout"],
        votes=votes,
        missing=0 if decided else max(0, data["quorum"] - approvals),
        opened_at=opened.at,
        expires_at=datetime.fromisoformat(data["expires_at"]),
        remind_s=data.get("remind_s"),
        asker=data.get("asker") or gate,
        renews=data.get("renews"),
        valid_for_s=data.get("valid_for_s"),
        effect_at=effect_of(events, data["round"], approved_by),
        decided_at=decided.at if decided else None,
        decided_by=decided.data["by"] if decided else "",
        comment=decided.data["comment"] if decided else "",
        answers=decided.data.get("answers", {}) if decided else {},
    )


def _votes(conn: Connection, release_id: str, gate: str, round_: int) -> tuple[Vote, ...]:
    query = (
        select(*(t.vote.c[name] for name in Vote.model_fields))
        .where(t.vote.c.release_id == release_id, t.vote.c.gate == gate, t.vote.c.round == round_)
        .order_by(t.vote.c.id)
    )
    return tuple(Vote.model_validate(dict(row)) for row in conn.execute(query).mappings())
