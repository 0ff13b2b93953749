"""What becomes of one vote: checked, refused or recorded. Functions run in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert

from relman_plugins.domain.base import Frozen, digest_of
from relman_plugins.domain.checklist import Item
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.gates import GateState, State, gate_state
from relman_plugins.ledger.record import clean_text, insert_event, is_closed
from relman_plugins.ledger.releases import find_release

COMMENT_LIMIT = 4000
"""Characters of a comment that are kept."""

REASON_LIMIT = 500
"""Characters of the reason of a refusal that are kept: it may quote what was answered."""

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
    "unfit_time",
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


def require(conn: Connection, release_id: str, gate: str) -> GateState:
    """Return a gate in its latest round; raise LedgerError when there is none."""
    state = gate_state(conn, release_id, gate)
    if state is None:
        raise LedgerError(f"release {release_id} has no gate {gate}")
    return state


def environment_of(conn: Connection, release_id: str, gate: str) -> str | None:
    """Return the environment of a gate's step; None when it has none."""
    record = find_release(conn, release_id)
    steps = record.plan.shape.steps if record else ()
    return next((s.environment for s in steps if s.id == gate), None)


def refusal(code: Code, reason: str, gate: GateState | None) -> VoteResult:
    """Return the result of a vote that does not count."""
    return VoteResult(accepted=False, code=code, reason=reason, gate=gate)


def refusal_of(
    conn: Connection, state: GateState, person: Person | None, user: str, digest: str | None, now: datetime
) -> VoteResult | None:
    """Return why a vote does not count; None when nothing is against it but, perhaps, its answers."""
    where = f"gate {state.gate} of {state.release_id}"
    if person is None:
        who = ", ".join(p.name or p.airflow for p in state.people)
        return refusal("not_entitled", f"{user} may not answer {where}; ask one of: {who}", state)
    if state.state != "open":
        return refusal(
            "decided",
            f"{where} is {state.state} by {state.decided_by} since {_when(state.decided_at)}; that stands",
            state,
        )
    if is_closed(conn, state.release_id):
        return refusal("release_closed", f"release {state.release_id} is closed; start another one", state)
    if now >= state.expires_at:
        return refusal("expired", f"{where} ended at {_when(state.expires_at)}; start another release", state)
    earlier = next((v for v in state.votes if v.person == person.id), None)
    if earlier is not None:
        return refusal(
            "voted_already", f"{person.id} already said {earlier.decision} at {where}; a vote stands", state
        )
    if digest is not None and digest != state.subject_digest:
        return refusal(
            "other_digest",
            f"what was shown ({digest}) is not what {where} asks about now ({state.subject_digest}); "
            "look again, then vote",
            state,
        )
    return None


def items_of(state: GateState) -> list[Item]:
    """Return the items of a checklist's gate; none for others."""
    return [Item.model_validate(i) for i in state.subject.get("checklist") or ()]


def insert_vote(
    conn: Connection,
    state: GateState,
    actor: Actor,
    decision: Decision,
    comment: str,
    answers: Mapping[str, str],
    now: datetime,
    not_before: datetime | None = None,
) -> None:
    """Record a vote, and the event that tells of it."""
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
        **({"not_before": not_before.isoformat()} if not_before else {}),
    }
    _tell(conn, state, Kind.GATE_VOTED, f"voted:{state.gate}:{state.round}:{actor.id}", actor, data, now)


def insert_refusal(
    conn: Connection, state: GateState, actor: Actor, decision: Decision, refused: VoteResult, now: datetime
) -> None:
    """Record that a vote did not count, once for each person, round and reason, however often they try."""
    data = {
        "person": clean_text(actor.id)[:200],
        "decision": decision.value,
        "via": actor.via,
        "round": state.round,
        "code": refused.code,
        "reason": refused.reason[:REASON_LIMIT],
    }
    # A user's name may be of any length, a key may not.
    who = digest_of({"person": actor.id, "code": refused.code}).removeprefix("sha256:")[:32]
    known = actor.model_copy(update={"id": data["person"], "name": clean_text(actor.name)[:200]})
    _tell(conn, state, Kind.VOTE_REFUSED, f"refused:{state.gate}:{state.round}:{who}", known, data, now)


def decide(
    conn: Connection,
    state: GateState,
    outcome: State,
    actor: Actor,
    by: str,
    comment: str,
    now: datetime,
    answers: Mapping[str, str] | None = None,
) -> GateState:
    """Record how a gate was decided and by whom; return it so."""
    data = {
        "state": outcome,
        "by": by,
        "digest": state.subject_digest,
        "round": state.round,
        "comment": comment,
        **({"answers": dict(answers)} if answers else {}),
        **({"effect_at": state.effect_at.isoformat()} if outcome == "approved" and state.effect_at else {}),
    }
    _tell(conn, state, Kind.GATE_DECIDED, f"decided:{state.gate}:{state.round}", actor, data, now)
    return require(conn, state.release_id, state.gate)


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
        environment=environment_of(conn, state.release_id, state.gate),
        actor=actor,
        data=data,
    )
    insert_event(conn, state.release_id, event, now)


def what_now(state: GateState) -> str:
    """Return what follows from a vote that counts, for the person who voted."""
    if state.state == "open":
        return f"recorded; {state.missing} more of {state.quorum} approvals needed at {state.gate}"
    later = f", and takes effect at {_when(state.effect_at)}" if state.effect_at else ""
    return f"recorded; {state.gate} is {state.state}{later}"


def _when(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else "?"
