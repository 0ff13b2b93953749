"""Writing and reading events. Functions here run inside the caller's transaction."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from relman_plugins.domain.base import canonical_json
from relman_plugins.domain.chain import chain_hash, moment_text
from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.chain import move_head, next_place
from relman_plugins.ledger.database import serialise
from relman_plugins.ledger.post import post
from relman_plugins.plan.routing import SLACK, Route

EVENT_SCHEMA = 1
"""Version of the shapes of ``Event.data``, stored with every event."""

OWN_KEYS = "ledger:"
"""Keys that begin so are the ledger's own."""

OWN_KINDS = frozenset(
    {
        Kind.RELEASE_OPENED,
        Kind.RELEASE_SUPERSEDED,
        Kind.FOLLOW_UP,
        Kind.GATE_OPENED,
        Kind.GATE_REMINDED,
        Kind.GATE_VOTED,
        Kind.GATE_VOTE_WITHDRAWN,
        Kind.GATE_DECIDED,
        Kind.GATE_ESCALATED,
        Kind.GATE_WAIVED,
        Kind.GATE_NOT_NEEDED,
        Kind.CHANGE_OUTDATED,
        Kind.GATE_OVERDUE,
        Kind.GATE_SETTLED,
        Kind.VOTE_REFUSED,
        Kind.LOCK_ACQUIRED,
        Kind.LOCK_RELEASED,
        Kind.LOCK_BROKEN,
        Kind.LOCK_EXPIRED,
    }
)
"""Kinds that only the ledger's own calls write: they are decisions, and a decision has one door."""

TOLD_KINDS = frozenset(Kind) - {
    Kind.STEP_STARTED,
    Kind.STEP_FINISHED,
    Kind.CHANGE_STARTED,
    Kind.FINDINGS_RECORDED,
    Kind.CHANGE_OUTDATED,
    Kind.TICKET_CHECKED,
    Kind.TICKET_ASKED,
    Kind.ANALYSIS_MEASURED,
    Kind.VOTE_REFUSED,
    Kind.LOCK_ACQUIRED,
    Kind.LOCK_RELEASED,
}
"""Kinds that anybody is told of."""


def release_name(release_id: str) -> str:
    """Return the name under which writers of one release exclude each other."""
    return f"release:{release_id}"


def clean_text(text: str) -> str:
    """Drop what PostgreSQL can't store as text: NUL, and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def clean_json(value: Any) -> Any:
    """Return JSON-able data that every database stores: text cleaned, and no NaN or infinity (null instead).

    A strange character in a test's output must not cost the event that reports it.
    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {clean_text(str(k)): clean_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(v) for v in value]
    return value


def check_recordable(new: NewEvent) -> None:
    """Raise LedgerError for an event that only the ledger itself may write."""
    if new.kind in OWN_KINDS or new.key.startswith(OWN_KEYS):
        raise LedgerError(
            f"event {new.kind} with key {new.key!r} can't be recorded directly: only the ledger's own calls "
            "(open_release, votes, locks) write it"
        )


def insert_event(conn: Connection, release_id: str, new: NewEvent, now: datetime) -> Event | None:
    """Insert an event and what follows from it: its outbox row and the state of ephemeral environments.

    The caller holds ``release_name(release_id)``. Returns None, with nothing written, when the key is known
    or the event would close a release a second time. Raises LedgerError when there is no such release.
    """
    home = conn.execute(
        select(
            t.release.c.service,
            t.release.c.slack_channel,
            t.release.c.plan[("shape", "routes")].label("routes"),
        ).where(t.release.c.release_id == release_id)
    ).first()
    if home is None:
        raise LedgerError(f"there is no release {release_id!r} in the ledger; nothing was recorded")
    if _known(conn, release_id, new):
        return None
    values = {
        "release_id": release_id,
        "kind": new.kind.value,
        "key": new.key,
        "at": new.at or now,
        "recorded_at": now,
        "step": new.step,
        "environment": new.environment,
        "actor": clean_json(new.actor.model_dump(mode="json")),
        "data": clean_json(new.data),
        "schema_version": EVENT_SCHEMA,
    }
    # One at a time, so that the chain has one end, and a reader who asks for what came after an id misses
    # nothing: ids are drawn when a row is inserted but seen when it is committed.
    serialise(conn, "ids")
    place = next_place(conn, release_id)
    values |= {"id": place.id, "prev_release_hash": place.prev_release_hash, "prev_hash": place.prev_hash}
    values["hash"] = _hash_of(values)
    if conn.dialect.name == "postgresql":
        # Another release may bring the same key at this moment, under another lock.
        statement = pg_insert(t.event).on_conflict_do_nothing(index_elements=["key"])
        event_id = conn.execute(statement.values(values).returning(t.event.c.id)).scalar()
    else:
        event_id = conn.execute(insert(t.event).values(values).returning(t.event.c.id)).scalar()
    if event_id is None:
        return None
    move_head(conn, place, values["hash"])
    if new.kind in TOLD_KINDS:
        # None: a plan that was stored before there were routes.
        routes = [Route.model_validate(route) for route in home.routes or ()]
        if home.slack_channel:
            routes.insert(0, Route(channel=SLACK, addresses=(home.slack_channel,)))
        post(conn, release_id, event_id, new, routes, now)
    _follow_environment(conn, release_id, home.service, new)
    return event_of(values)


def _hash_of(values: dict[str, Any]) -> str:
    return chain_hash(
        values["id"],
        values["release_id"],
        values["kind"],
        values["key"],
        moment_text(values["at"]),
        moment_text(values["recorded_at"]),
        values["step"],
        values["environment"],
        canonical_json(values["actor"]),
        canonical_json(values["data"]),
        values["schema_version"],
        values["prev_release_hash"],
        values["prev_hash"],
    )


def _known(conn: Connection, release_id: str, new: NewEvent) -> bool:
    if conn.execute(select(t.event.c.id).where(t.event.c.key == new.key)).first() is not None:
        return True
    return new.kind is Kind.RELEASE_CLOSED and is_closed(conn, release_id)


def is_closed(conn: Connection, release_id: str) -> bool:
    """Say whether the release has its outcome."""
    closed = select(t.event.c.id).where(
        t.event.c.release_id == release_id, t.event.c.kind == Kind.RELEASE_CLOSED.value
    )
    return conn.execute(closed).first() is not None


def _follow_environment(conn: Connection, release_id: str, service: str, new: NewEvent) -> None:
    if new.environment is None or new.kind not in (Kind.ENVIRONMENT_PROVISIONED, Kind.ENVIRONMENT_REMOVED):
        return
    here = (t.ephemeral.c.environment == new.environment) & (t.ephemeral.c.service == service)
    if new.kind is Kind.ENVIRONMENT_REMOVED:
        conn.execute(update(t.ephemeral).where(here).values(state="removed"))
        return
    until = new.data.get("expires_at")
    if not until:
        return
    values = {"release_id": release_id, "expires_at": datetime.fromisoformat(until), "state": "live"}
    if not conn.execute(update(t.ephemeral).where(here).values(values)).rowcount:
        conn.execute(insert(t.ephemeral).values(environment=new.environment, service=service, **values))


def event_of(row: RowMapping | dict[str, Any]) -> Event:
    """Build an event from its row."""
    return Event.model_validate({name: row[name] for name in Event.model_fields})


def select_events(
    conn: Connection, release_id: str, *, kinds: Collection[Kind] | None = None, after: int = 0
) -> list[Event]:
    """Return the events of a release with an id above ``after``, oldest first."""
    query = select(t.event).where(t.event.c.release_id == release_id, t.event.c.id > after)
    if kinds is not None:
        query = query.where(t.event.c.kind.in_([k.value for k in kinds]))
    return [event_of(row) for row in conn.execute(query.order_by(t.event.c.id)).mappings()]
