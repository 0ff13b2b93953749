"""The hash chain in the database: where the next event is hung in, and reading rows as they were hashed.

The caller of everything that writes holds the name ``ids``, so that the chain has one end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Row,
    Select,
    String,
    Text,
    cast,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from relman_plugins.domain.chain import FIRST, ChainedEvent, Head, chain_hash
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import tables as t

_NAME = "ledger"

COLUMNS = (
    "id",
    "release_id",
    "kind",
    "key",
    "at",
    "recorded_at",
    "step",
    "environment",
    "actor",
    "data",
    "schema_version",
    "prev_release_hash",
    "prev_hash",
    "hash",
)
"""What ``raw_events`` returns of each event: the arguments of ``chain_hash``, then the stored hash."""


class Place(NamedTuple):
    """Where the next event belongs."""

    id: int
    prev_release_hash: str
    prev_hash: str
    length: int
    """Of the chain with it."""


def next_place(conn: Connection, release_id: str = "") -> Place:
    """Return where the next event of a release is hung in.

    Raises LedgerError when there are events, but nothing that says where the chain ends.
    """
    last = (
        select(t.event.c.hash)
        .where(t.event.c.release_id == release_id)
        .order_by(t.event.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(t.head.c.id, t.head.c.hash, t.head.c.length, last).where(t.head.c.name == _NAME)
    found = conn.execute(query).first()
    if found is not None:
        return Place(found[0] + 1, found[3] or FIRST, found[1], found[2] + 1)
    if conn.execute(select(t.event.c.id).limit(1)).first() is not None:
        raise LedgerError(
            "the ledger's table head has lost its row, which says where the record ends, so nothing is "
            "recorded; `relman ledger verify` says what else is wrong, then restore a back-up"
        )
    conn.execute(insert(t.head).values(name=_NAME, id=0, hash=FIRST, length=0))
    return Place(1, FIRST, FIRST, 1)


def move_head(conn: Connection, place: Place, hash_: str) -> None:
    """Let the chain end at a new link."""
    values = {"id": place.id, "hash": hash_, "length": place.length}
    conn.execute(update(t.head).where(t.head.c.name == _NAME).values(values))


def head(conn: Connection) -> Head | None:
    """Return where the chain ends by the ledger's own word; None when it has none."""
    query = select(t.head.c.id, t.head.c.hash, t.head.c.length).where(t.head.c.name == _NAME)
    found = conn.execute(query).mappings().first()
    return None if found is None else Head.model_validate(dict(found))


def raw_events(conn: Connection, *where: ColumnElement[bool], after: int = 0) -> Select[Any]:
    """Select events as their hashes cover them, in order: times and JSON as text, see ``COLUMNS``."""
    moment = _sqlite_moment if conn.dialect.name == "sqlite" else _postgresql_moment
    as_is = type_coerce if conn.dialect.name == "sqlite" else cast
    raw = {
        "at": moment(t.event.c.at),
        "recorded_at": moment(t.event.c.recorded_at),
        "actor": as_is(t.event.c.actor, Text),
        "data": as_is(t.event.c.data, Text),
    }
    columns = [raw.get(name, t.event.c[name]).label(name) for name in COLUMNS]
    return select(*columns).where(t.event.c.id > after, *where).order_by(t.event.c.id)


def _sqlite_moment(column: ColumnElement[datetime]) -> ColumnElement[str]:
    # Stored as "2026-01-31 14:00:00.000000", in UTC.
    return type_coerce(column, String).op("||")("Z")


def _postgresql_moment(column: ColumnElement[datetime]) -> ColumnElement[str]:
    in_utc = func.timezone("UTC", column, type_=DateTime)
    return func.to_char(in_utc, 'YYYY-MM-DD HH24:MI:SS.US"Z"', type_=String)


def computed(row: Sequence[Any]) -> str:
    """Return the hash that a row of ``raw_events`` gives; empty when it can't be one that relman wrote."""
    id_, release_id, kind, key, at, recorded_at, *rest = row
    try:
        return chain_hash(id_, release_id, kind, key, _moment(at), _moment(recorded_at), *rest[:-1])
    except (TypeError, ValueError):
        return ""


def _moment(text: str) -> str:
    if len(text) != 27 or text[10] != " ":
        raise ValueError(f"not as a time is stored: {text[:40]!r}")
    return f"{text[:10]}T{text[11:]}"


def chained(conn: Connection, release_id: str) -> Iterator[ChainedEvent]:
    """Yield the events of a release with everything that their hashes cover, oldest first."""
    yield from chained_of(conn, (release_id,))


def chained_of(conn: Connection, release_ids: Sequence[str]) -> Iterator[ChainedEvent]:
    """Yield the events of several releases in the ledger's order, as :func:`chained`."""
    query = raw_events(conn, t.event.c.release_id.in_(release_ids))
    for row in conn.execute(query, execution_options={"yield_per": 1000}):
        values = _named(row)
        yield ChainedEvent.model_validate(
            values
            | {"at": _moment(row.at), "recorded_at": _moment(row.recorded_at)}
            | {"actor": json.loads(row.actor), "data": json.loads(row.data)}
        )


def _named(row: Row[Any]) -> dict[str, Any]:
    return dict(zip(COLUMNS, row, strict=True))
