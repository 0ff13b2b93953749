"""How a "no" to what an emergency skipped is settled: by a word of a reviewer, or since it was taken back.

A rejection afterwards undoes nothing by itself, so what was done about it has to be on record: by somebody
who might have approved it, with a reason; or the environment went back after the "no" to what was there
before. Functions run in the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.ballots import COMMENT_LIMIT, VoteResult, environment_of, refusal, require
from relman_plugins.ledger.gates import GateState
from relman_plugins.ledger.record import clean_text, insert_event, select_events


def settle(
    conn: Connection, state: GateState, user: str, name: str, reason: str, via: str, now: datetime
) -> VoteResult:
    """Record what was done about a rejection afterwards, in the words of ``user``; or say why not."""
    reason = clean_text(reason).strip()[:COMMENT_LIMIT]
    where = f"gate {state.gate} of {state.release_id}"
    if refused := _refused(state, user, name, reason, where):
        return refused
    person = next(p for p in state.people if p.airflow == user)
    actor = Actor(kind="person", id=person.id, name=name or person.name, via=via)
    _record(conn, state, actor, {"how": "acknowledged", "reason": reason}, now)
    settled = require(conn, state.release_id, state.gate)
    return VoteResult(accepted=True, code="accepted", reason=f"recorded; {where} is settled", gate=settled)


def settle_by_rollback(conn: Connection, state: GateState, now: datetime) -> Event | None:
    """Record that the environment went back after a rejection, once; None when it did not."""
    if not state.is_owed or state.state != "rejected":
        return None
    kinds = (Kind.GATE_DECIDED, Kind.ROLLBACK_REQUESTED, Kind.ROLLBACK_FINISHED)
    events = select_events(conn, state.release_id, kinds=kinds)
    environment = environment_of(conn, state.release_id, state.gate)
    said = next(e for e in events if e.kind is Kind.GATE_DECIDED and e.step == state.gate)
    back = (e for e in events if e.kind is Kind.ROLLBACK_FINISHED and e.environment == environment)
    # What was spooled before the no, and replayed after it, has a later id.
    done = next((e for e in back if e.id > said.id and e.at >= said.at), None)
    if done is None:
        return None
    asked = next((e for e in events if e.key == done.data.get("request")), done)
    to = (done.data.get("to") or {}).get("version", "nothing")
    why = f": {asked.data['reason']}" if asked.data.get("reason") else ""
    reason = f"{environment} was rolled back to {to}{why}"
    return _record(conn, state, asked.actor, {"how": "rolled_back", "reason": reason}, now)


def _refused(state: GateState, user: str, name: str, reason: str, where: str) -> VoteResult | None:
    panel = state.panel.known_as(user, name)
    if not panel.open_to(user):
        others = (p.name or p.id for p in state.people if p.airflow not in state.own)
        able = ", ".join(others) or "nobody is left"
        if not panel.called_by(user):
            return refusal("not_entitled", f"{user} may not settle {where}; ask one of: {able}", state)
        why = f"{user} {panel.own[user]}, and nobody settles their own emergency; ask one of: {able}"
        return refusal("own_release", f"{where}: {why}", state)
    if not state.debt or state.state != "rejected":
        undecided = state.debt and state.state == "open"
        told = "approve or reject it first" if undecided else "nothing is owed there"
        reason = f"{where} is {state.state}, and only a rejection of what was skipped is settled; {told}"
        return refusal("not_owed", reason, state)
    if done := state.settled:
        since = f"{done.at:%Y-%m-%d %H:%M} UTC"
        return refusal("decided", f"{where} was settled by {done.by} at {since}: {done.reason}", state)
    if not reason:
        return refusal("comment_required", f"{where}: say what was done about it", state)
    return None


def _record(
    conn: Connection, state: GateState, actor: Actor, data: dict[str, Any], now: datetime
) -> Event | None:
    event = NewEvent(
        kind=Kind.GATE_SETTLED,
        key=f"ledger:settled:{state.gate}:{state.round}:{state.release_id}",
        step=state.gate,
        environment=environment_of(conn, state.release_id, state.gate),
        actor=actor,
        data=data | {"round": state.round},
    )
    return insert_event(conn, state.release_id, event, now)
