"""The gates of a ledger as they stand: what is asked, what was, and what is owed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, exists, select

from relman_plugins.domain.event import Kind
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.ballots import require
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.gates import DEBT, GateState, gate_state
from relman_plugins.ledger.record import select_events


class Gates:
    """The gates of a ledger, to be read. Every call is one view of one moment."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def gate(self, release_id: str, gate: str) -> GateState | None:
        """Return a gate in its latest round; None when it was never opened."""
        with self._db.read() as conn:
            return gate_state(conn, release_id, gate)

    def asked_by(self, release_id: str, step: str) -> GateState | None:
        """Return the gate that a step's task asks about: the one it opened last; None when it asked nothing.

        Mostly the gate has the step's own id. A step that waits since an approval has run out asks about that
        approval's gate.
        """
        with self._db.read() as conn:
            opened = select_events(conn, release_id, kinds=[Kind.GATE_OPENED])
            mine = [e.step for e in opened if e.step and (e.data.get("asker") or e.step) == step]
            return gate_state(conn, release_id, mine[-1]) if mine else None

    def gates(self, release_id: str) -> list[GateState]:
        """Return the gates of a release that were opened, in that order."""
        with self._db.read() as conn:
            return _all_gates(conn, t.event.c.release_id == release_id)

    def open_gates(self) -> list[GateState]:
        """Return every gate that a release waits at, of every release that is not closed, oldest first."""
        closing = t.event.alias()
        closed = exists().where(
            closing.c.release_id == t.event.c.release_id, closing.c.kind == Kind.RELEASE_CLOSED.value
        )
        with self._db.read() as conn:
            return [g for g in _all_gates(conn, ~closed) if g.state == "open" and not g.debt]

    def debts(self) -> list[GateState]:
        """Return what was skipped in emergencies and nobody has approved since, oldest first.

        Open, also when it is overdue, or rejected: until it is settled what was done about that.
        """
        with self._db.read() as conn:
            return [gate for gate in _all_gates(conn, t.event.c.step.like(f"%.{DEBT}")) if gate.is_owed]


def _all_gates(conn: Connection, condition: Any) -> list[GateState]:
    query = select(t.event.c.release_id, t.event.c.step).where(
        t.event.c.kind == Kind.GATE_OPENED.value, condition
    )
    # A dict keeps the order of opening and forgets the rounds.
    names = dict.fromkeys((row.release_id, row.step) for row in conn.execute(query.order_by(t.event.c.id)))
    return [require(conn, release_id, gate) for release_id, gate in names]
