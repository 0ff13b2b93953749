"""From an event to the outbox: a row for each place that hears of it, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.ledger import tables as t
from relman_plugins.plan.routing import SLACK, Route, Target, targets

_PLACE = (t.outbox.c.channel, t.outbox.c.connection, t.outbox.c.address)


def post(
    conn: Connection, release_id: str, event_id: int, new: NewEvent, routes: Sequence[Route], now: datetime
) -> None:
    """Put an event into the outbox for every place that a route leads to, once for each.

    Who was told anything of a release is told its end too, whatever their route says: a message that says
    "failing" must not stand there for ever. Nor must a question in Slack: where it was asked, what was
    decided is told, too.
    """
    wanted = targets(
        routes,
        kind=new.kind,
        step=new.step,
        environment=new.environment,
        data=new.data,
        reached=_reached(conn, release_id, routes),
    )
    places = dict.fromkeys(wanted)
    if new.kind is Kind.GATE_DECIDED:
        places |= dict.fromkeys(_asked(conn, release_id, new.step))
    if new.kind is Kind.RELEASE_CLOSED:
        query = select(*_PLACE).where(t.outbox.c.release_id == release_id).distinct()
        places |= dict.fromkeys(sorted(Target(*row) for row in conn.execute(query)))
    if places:
        conn.execute(
            insert(t.outbox),
            [
                {
                    "event_id": event_id,
                    "release_id": release_id,
                    **place._asdict(),
                    "state": "pending",
                    "attempts": 0,
                    "next_at": now,
                }
                for place in places
            ],
        )


def _asked(conn: Connection, release_id: str, gate: str | None) -> list[Target]:
    """Return where in Slack a gate's question is."""
    query = (
        select(*_PLACE)
        .join(t.event, t.event.c.id == t.outbox.c.event_id)
        .where(
            t.outbox.c.release_id == release_id,
            t.outbox.c.channel == SLACK,
            t.event.c.step == gate,
            t.event.c.kind.in_([Kind.GATE_OPENED.value, Kind.GATE_REMINDED.value]),
        )
    )
    return sorted(Target(*row) for row in conn.execute(query.distinct()))


def _reached(conn: Connection, release_id: str, routes: Sequence[Route]) -> Collection[str]:
    """Return the environments with routes of their own where something of the release happened."""
    named = {r.environment for r in routes if r.environment is not None}
    if not named:
        return ()
    query = select(t.event.c.environment).where(
        t.event.c.release_id == release_id, t.event.c.environment.in_(named)
    )
    return {row.environment for row in conn.execute(query.distinct())}
