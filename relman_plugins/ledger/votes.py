"""The vote service: the one place where a person's decision is checked and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, exists, insert, select

from relman_plugins.domain.base import Frozen, digest_of
from relman_plugins.domain.checklist import Item, checked
from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.gates import GateState, OnTimeout, State, gate_state
from relman_plugins.ledger.record import (
    clean_json,
    clean_text,
    insert_event,
    is_closed,
    release_name,
    select_events,
)
from relman_plugins.ledger.releases import find_release

COMMENT_LIMIT = 4000
"""Characters of a comment that are kept."""

Code = Literal[
    "accepted",
    "unknown_gate",
    "release_closed",
    "decided",
    "expired",
    "not_entitled",
    "other_digest",
    "voted_already",
    "unfit_answers",
]


class VoteResult(Frozen):
    """What became of a vote."""

    accepted: bool
    code: Code
    """Why, for programs."""
    reason: str
    """Why, for the person who voted: one sentence with what to do next."""
    gate: GateState | None
    """The gate after the vote; None when there is no such gate."""


class Votes:
    """Gates and votes of a ledger. Every call is one transaction, exclusive for its release."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def open_gate(
        self,
        release_id: str,
        gate: str,
        *,
        subject: dict[str, Any],
        people: Sequence[Person],
        quorum: int,
        timeout_s: float,
        on_timeout: OnTimeout,
        remind_s: float | None = None,
        at: datetime | None = None,
    ) -> GateState:
        """Open a gate, or return it as it is when it was opened before: idempotent.

        ``gate`` is the id of the gate's step. ``timeout_s`` counts from ``at`` (aware; None means now). With
        ``remind_s``, ``remind`` reminds those who can still answer each time so many seconds have passed.
        A new round begins only when ``subject`` is another one than before and nobody has said no: what was
        asked or approved is not what would ship any more. A rejected or expired gate stays so. Raises
        LedgerError when there is no such release.
        """
        voters = len({p.airflow for p in people})
        if not 1 <= quorum <= voters:
            raise LedgerError(
                f"gate {gate} of {release_id}: a quorum of {quorum} can't be reached by {voters} people"
            )
        subject = clean_json(subject)
        digest = digest_of(subject)
        with self._db.write(release_name(release_id)) as conn:
            before = gate_state(conn, release_id, gate)
            if before and (before.subject_digest == digest or before.state in ("rejected", "expired")):
                return before
            now = self._db.now()
            opened_at = (at or now).astimezone(UTC)
            round_ = before.round + 1 if before else 1
            data = {
                "subject": subject,
                "subject_digest": digest,
                "people": [p.model_dump(mode="json") for p in people],
                "quorum": quorum,
                "on_timeout": on_timeout,
                "expires_at": (opened_at + timedelta(seconds=timeout_s)).isoformat(),
                "remind_s": remind_s,
                "round": round_,
            }
            event = NewEvent(
                kind=Kind.GATE_OPENED,
                key=f"ledger:gate:{release_id}:{gate}:{round_}",
                step=gate,
                environment=_environment(conn, release_id, gate),
                data=data,
                at=opened_at,
            )
            insert_event(conn, release_id, event, now)
            return _require(conn, release_id, gate)

    def cast(
        self,
        release_id: str,
        gate: str,
        *,
        airflow_user: str,
        name: str = "",
        decision: Decision,
        digest: str | None = None,
        comment: str = "",
        answers: Mapping[str, Any] | None = None,
        via: str,
    ) -> VoteResult:
        """Check and record one person's vote; decide the gate when it is the one that decides.

        ``airflow_user`` is whom the auth manager says the voter is, ``digest`` what was shown to them (None
        when the way in can't tell), ``via`` the way in: ``airflow``, ``api``, ``cli``, ``slack``. One reject
        decides; approvals decide when there are as many as the quorum. ``answers`` are those to the items of
        a checklist, by id; :func:`relman_plugins.domain.checklist.checked` says which are taken. A refused
        vote leaves no trace.
        """
        with self._db.write(release_name(release_id)) as conn:
            state = gate_state(conn, release_id, gate)
            if state is None:
                return _refusal(
                    "unknown_gate", f"release {release_id} has no open gate {gate}; see `relman status`", None
                )
            now = self._db.now()
            person = next((p for p in state.people if p.airflow == airflow_user), None)
            refusal = _refusal_of(conn, state, person, airflow_user, digest, now)
            if refusal is not None or person is None:
                return refusal or _refusal("not_entitled", f"{airflow_user} may not answer", state)
            try:
                items = _items(state)
                said = checked(items, answers or {}, decision) if items else {}
            except ValueError as error:
                return _refusal("unfit_answers", f"gate {gate} of {release_id}: {error}", state)
            actor = Actor(kind="person", id=person.id, name=name or person.name, via=via)
            comment = clean_text(comment)[:COMMENT_LIMIT]
            _insert_vote(conn, state, actor, decision, comment, said, now)
            state = _require(conn, release_id, gate)
            if decision is Decision.REJECT:
                state = _decide(conn, state, "rejected", actor, person.id, comment, now, said)
            elif not state.missing:
                state = _decide(conn, state, "approved", actor, person.id, comment, now, said)
            return VoteResult(accepted=True, code="accepted", reason=_what_now(state), gate=state)

    def expire_gate(self, release_id: str, gate: str, *, now: datetime | None = None) -> GateState | None:
        """Decide an open gate whose time is over as its ``on_timeout`` says: rejected or expired.

        Idempotent; a gate that is decided or has time left is returned as it is. ``now`` is aware.
        """
        with self._db.write(release_name(release_id)) as conn:
            state = gate_state(conn, release_id, gate)
            now = now or self._db.now()
            if state is None or state.state != "open" or now < state.expires_at:
                return state
            outcome: State = "rejected" if state.on_timeout == "reject" else "expired"
            comment = f"{len(state.votes)} of {state.quorum} approvals when the time was over"
            return _decide(conn, state, outcome, Actor(), "timeout", comment, now)

    def remind(self, release_id: str, gate: str, *, now: datetime | None = None) -> Event | None:
        """Record that those who can still answer are reminded, if that is due at ``now`` (aware); return it.

        The n-th reminder is due when n intervals have passed since the gate opened, and is recorded once;
        those that nobody was there to record are left out. None as soon as the gate is decided or its time is
        over, while the release is held, and when it was aborted or closed.
        """
        with self._db.write(release_name(release_id)) as conn:
            state, now = gate_state(conn, release_id, gate), now or self._db.now()
            if state is None or state.state != "open" or not state.remind_s or now >= state.expires_at:
                return None
            n = int((now - state.opened_at).total_seconds() // state.remind_s)
            if n < 1 or _is_stopped(conn, release_id):
                return None
            voted = {v.person for v in state.votes}
            data = {
                "n": n,
                "round": state.round,
                "people": [p.model_dump(mode="json") for p in state.people if p.id not in voted],
                "quorum": state.quorum,
                "missing": state.missing,
                "since": state.opened_at.isoformat(),
                "expires_at": state.expires_at.isoformat(),
                "checklist": bool(state.subject.get("checklist")),
            }
            event = NewEvent(
                kind=Kind.GATE_REMINDED,
                key=f"ledger:reminded:{gate}:{state.round}:{n}:{release_id}",
                step=gate,
                environment=_environment(conn, release_id, gate),
                data=data,
            )
            return insert_event(conn, release_id, event, now)

    def gate(self, release_id: str, gate: str) -> GateState | None:
        """Return a gate in its latest round; None when it was never opened."""
        with self._db.read() as conn:
            return gate_state(conn, release_id, gate)

    def gates(self, release_id: str) -> list[GateState]:
        """Return the gates of a release that were opened, in that order."""
        with self._db.read() as conn:
            return _all_gates(conn, t.event.c.release_id == release_id)

    def open_gates(self) -> list[GateState]:
        """Return every gate that waits for people, of every release that is not closed, oldest first."""
        closing = t.event.alias()
        closed = exists().where(
            closing.c.release_id == t.event.c.release_id, closing.c.kind == Kind.RELEASE_CLOSED.value
        )
        with self._db.read() as conn:
            return [g for g in _all_gates(conn, ~closed) if g.state == "open"]


def _is_stopped(conn: Connection, release_id: str) -> bool:
    """Say whether a person or the end has stopped the release."""
    kinds = (Kind.RELEASE_CLOSED, Kind.ABORT_REQUESTED, Kind.RELEASE_HELD, Kind.RELEASE_RESUMED)
    events = select_events(conn, release_id, kinds=kinds)
    return bool(events) and (
        events[-1].kind is Kind.RELEASE_HELD
        or any(e.kind in (Kind.RELEASE_CLOSED, Kind.ABORT_REQUESTED) for e in events)
    )


def _all_gates(conn: Connection, condition: Any) -> list[GateState]:
    query = select(t.event.c.release_id, t.event.c.step).where(
        t.event.c.kind == Kind.GATE_OPENED.value, condition
    )
    # A dict keeps the order of opening and forgets the rounds.
    names = dict.fromkeys((row.release_id, row.step) for row in conn.execute(query.order_by(t.event.c.id)))
    return [_require(conn, release_id, gate) for release_id, gate in names]


def _require(conn: Connection, release_id: str, gate: str) -> GateState:
    state = gate_state(conn, release_id, gate)
    if state is None:
        raise LedgerError(f"release {release_id} has no gate {gate}")
    return state


def _environment(conn: Connection, release_id: str, gate: str) -> str | None:
    record = find_release(conn, release_id)
    steps = record.plan.shape.steps if record else ()
    return next((s.environment for s in steps if s.id == gate), None)


def _refusal(code: Code, reason: str, gate: GateState | None) -> VoteResult:
    return VoteResult(accepted=False, code=code, reason=reason, gate=gate)


def _refusal_of(
    conn: Connection, state: GateState, person: Person | None, user: str, digest: str | None, now: datetime
) -> VoteResult | None:
    where = f"gate {state.gate} of {state.release_id}"
    if person is None:
        who = ", ".join(p.name or p.airflow for p in state.people)
        return _refusal("not_entitled", f"{user} may not answer {where}; ask one of: {who}", state)
    if state.state != "open":
        return _refusal(
            "decided",
            f"{where} is {state.state} by {state.decided_by} since {_when(state.decided_at)}; that stands",
            state,
        )
    if is_closed(conn, state.release_id):
        return _refusal("release_closed", f"release {state.release_id} is closed; start another one", state)
    if now >= state.expires_at:
        return _refusal(
            "expired", f"{where} ended at {_when(state.expires_at)}; start another release", state
        )
    earlier = next((v for v in state.votes if v.person == person.id), None)
    if earlier is not None:
        return _refusal(
            "voted_already", f"{person.id} already said {earlier.decision} at {where}; a vote stands", state
        )
    if digest is not None and digest != state.subject_digest:
        return _refusal(
            "other_digest",
            f"what was shown ({digest}) is not what {where} asks about now ({state.subject_digest}); "
            "look again, then vote",
            state,
        )
    return None


def _items(state: GateState) -> list[Item]:
    return [Item.model_validate(i) for i in state.subject.get("checklist") or ()]


def _insert_vote(
    conn: Connection,
    state: GateState,
    actor: Actor,
    decision: Decision,
    comment: str,
    answers: Mapping[str, str],
    now: datetime,
) -> None:
    conn.execute(
        insert(t.vote).values(
            release_id=state.release_id,
            gate=state.gate,
            round=state.round,
            person=actor.id,
            name=clean_text(actor.name)[:200],
            decision=decision.value,
            digest=state.subject_digest,
            comment=comment,
            via=actor.via,
            at=now,
        )
    )
    data = {
        "person": actor.id,
        "decision": decision.value,
        "comment": comment,
        "via": actor.via,
        "round": state.round,
        **({"answers": dict(answers)} if answers else {}),
    }
    _tell(conn, state, Kind.GATE_VOTED, f"voted:{state.gate}:{state.round}:{actor.id}", actor, data, now)


def _decide(
    conn: Connection,
    state: GateState,
    outcome: State,
    actor: Actor,
    by: str,
    comment: str,
    now: datetime,
    answers: Mapping[str, str] | None = None,
) -> GateState:
    data = {
        "state": outcome,
        "by": by,
        "digest": state.subject_digest,
        "round": state.round,
        "comment": comment,
        **({"answers": dict(answers)} if answers else {}),
    }
    _tell(conn, state, Kind.GATE_DECIDED, f"decided:{state.gate}:{state.round}", actor, data, now)
    return _require(conn, state.release_id, state.gate)


def _tell(
    conn: Connection,
    state: GateState,
    kind: Kind,
    key: str,
    actor: Actor,
    data: dict[str, Any],
    now: datetime,
) -> None:
    event = NewEvent(
        kind=kind,
        key=f"ledger:{key}:{state.release_id}",
        step=state.gate,
        environment=_environment(conn, state.release_id, state.gate),
        actor=actor,
        data=data,
    )
    insert_event(conn, state.release_id, event, now)


def _what_now(state: GateState) -> str:
    if state.state == "open":
        return f"recorded; {state.missing} more of {state.quorum} approvals needed at {state.gate}"
    return f"recorded; {state.gate} is {state.state}"


def _when(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else "?"
