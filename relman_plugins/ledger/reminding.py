"""Reminders of those who can still answer at a gate. Runs in the caller's transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.ledger.ballots import environment_of
from relman_plugins.ledger.gates import GateState
from relman_plugins.ledger.record import insert_event


def remind(conn: Connection, state: GateState, now: datetime) -> Event | None:
    """Record that those who can still answer are reminded; None when that is not due, or was recorded before.

    The n-th reminder is due when n intervals have passed since the gate opened, and is recorded once; those
    that nobody was there to record are left out.
    """
    if state.state != "open" or not state.remind_s or now >= state.expires_at:
        return None
    n = int((now - state.opened_at).total_seconds() // state.remind_s)
    if n < 1:
        return None
    data = {
        "n": n,
        "round": state.round,
        "people": [p.model_dump(mode="json") for p in state.awaited],
        "quorum": state.quorum,
        "missing": state.missing,
        "since": state.opened_at.isoformat(),
        "expires_at": state.expires_at.isoformat(),
        "checklist": bool(state.subject.get("checklist")),
        "asker": state.asker,
    }
    event = NewEvent(
        kind=Kind.GATE_REMINDED,
        key=f"ledger:reminded:{state.gate}:{state.round}:{n}:{state.release_id}",
        step=state.gate,
        environment=environment_of(conn, state.release_id, state.gate),
        data=data,
    )
    return insert_event(conn, state.release_id, event, now)
