"""Escalation: who else may answer when a gate has waited for a time. Runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.ledger.ballots import environment_of, require
from relman_plugins.ledger.gates import GateState
from relman_plugins.ledger.record import insert_event


def escalate(conn: Connection, state: GateState, now: datetime) -> Event | None:
    """Record that a second group may answer from now on; None when that is not due, or was recorded before.

    A gate escalates once in each round, and never when it is decided or its time is over.
    """
    second = state.escalate
    if second is None or state.escalated_at is not None or state.state != "open":
        return None
    if state.escalates_at is None or not state.escalates_at <= now < state.expires_at:
        return None
    ids = set(second.people)
    data = {
        "group": second.group,
        "people": [p.model_dump(mode="json") for p in state.people if p.id in ids],
        "round": state.round,
        "after_s": second.after_s,
        "missing": state.missing,
        "since": state.opened_at.isoformat(),
        "expires_at": state.expires_at.isoformat(),
        "asker": state.asker,
    }
    event = NewEvent(
        kind=Kind.GATE_ESCALATED,
        key=f"ledger:escalated:{state.gate}:{state.round}:{state.release_id}",
        step=state.gate,
        environment=environment_of(conn, state.release_id, state.gate),
        data=data,
    )
    return insert_event(conn, state.release_id, event, now)


def as_of(conn: Connection, state: GateState, now: datetime) -> GateState:
    """Return a gate as it is at ``now``: escalated when that is due, and recorded so."""
    return require(conn, state.release_id, state.gate) if escalate(conn, state, now) else state


def is_planned(args: Mapping[str, Any], gate: GateState, escalated: Iterable[Event]) -> bool:
    """Say whether a gate was escalated as the stored plan says, by the release's events of that kind."""
    second = args.get("escalate")
    if not second:
        return False
    due = gate.opened_at + timedelta(seconds=second["after_s"])
    return any(e.step == gate.gate and e.data["round"] == gate.round and e.at >= due for e in escalated)
