"""Rows of other tables against the events that tell of them: the chain covers the events, and they these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from sqlalchemy import JSON, Connection, Select, Table, Text, cast, select, type_coerce

from relman_plugins.domain.chain import row_digest
from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.releases import ReleaseRecord, record_of
from relman_plugins.plan.model import ReleasePlan

_CHUNK = 500


def releases(conn: Connection) -> Iterator[str]:
    """Yield what of the releases differs from what was recorded when they were opened."""
    opened = select(t.event.c.release_id, t.event.c.data, t.event.c.actor).where(
        t.event.c.kind == Kind.RELEASE_OPENED.value
    )
    told = {row.release_id: (row.data.get("row_digest"), row.data, row.actor) for row in conn.execute(opened)}
    for row in _rows(conn, t.release):
        digest, data, actor = told.get(row["release_id"], (None, {}, {}))
        name = f"release {row['release_id']}"
        if digest is not None:
            if row_digest(row, _json(t.release)) != digest:
                yield f"{name} is not as it was opened: {_what_differs(conn, row['release_id'], data, actor)}"
            continue
        # Opened by a relman that recorded no digest yet, or changed and its event too.
        if said := _differences(conn, row["release_id"], data, actor):
            yield f"{name} is not as it was opened: {said}"


def _what_differs(conn: Connection, release_id: str, data: dict[str, Any], actor: dict[str, Any]) -> str:
    return _differences(conn, release_id, data, actor) or "its row gives another digest"


def _differences(conn: Connection, release_id: str, data: dict[str, Any], actor: dict[str, Any]) -> str:
    row = conn.execute(select(t.release).where(t.release.c.release_id == release_id)).mappings().one()
    try:
        record = record_of({name: row[name] for name in ReleaseRecord.model_fields if name in row})
    except (ValidationError, ValueError) as error:
        return f"it can't be read ({' '.join(str(error).split())[:150]})"
    if record.stored_hash != record.plan_hash:
        return "its plan is not the one that it was opened with"
    wanted = _of_plan(record.plan, record) | {"plan_hash": data.get("plan_hash", record.plan_hash)}
    if actor:
        wanted["started_by"] = Actor.model_validate(actor)
    wanted["slack_channel"] = record.plan.shape.slack_channel
    found = {**{name: getattr(record, name, None) for name in wanted}, "slack_channel": row["slack_channel"]}
    return ", ".join(f"{name} is {found[name]!s:.80}" for name in wanted if found[name] != wanted[name])


def _of_plan(plan: ReleasePlan, record: ReleaseRecord) -> dict[str, Any]:
    shape = plan.shape
    known: dict[str, Any] = {
        "pipeline": shape.pipeline,
        "service": shape.service,
        "version": plan.options.version,
        "spec_digest": shape.spec_digest,
    }
    if plan.hash == record.plan_hash:
        # Else this relman knows another shape than the one that wrote it.
        known["shape_hash"] = shape.hash
    return known


def votes(conn: Connection) -> tuple[int, Iterator[str]]:
    """Return how many votes there are, and what of them differs from the events that tell of them."""
    voted = select(t.event).where(t.event.c.kind == Kind.GATE_VOTED.value).order_by(t.event.c.id)
    told = {
        (row["release_id"], row["step"], row["data"].get("round"), row["data"].get("person")): row
        for row in conn.execute(voted).mappings()
        if row["data"].get("n", 1) == 1  # a vote after a withdrawn one is an event only
    }
    cast_ = {
        (row["release_id"], row["gate"], row["round"], row["person"]): dict(row)
        for row in conn.execute(select(t.vote).order_by(t.vote.c.id)).mappings()
    }

    def problems() -> Iterator[str]:
        for key in sorted(cast_.keys() ^ told.keys(), key=str):
            which = "a vote without its event" if key in cast_ else "an event without its vote"
            yield f"release {key[0]}, gate {key[1]}: {key[3]} has {which}"
        for key in sorted(cast_.keys() & told.keys(), key=str):
            if _differs(cast_[key], told[key]):
                yield f"release {key[0]}, gate {key[1]}: vote and event of {key[3]} differ"

    return len(cast_), problems()


def _differs(vote: dict[str, Any], event: Any) -> bool:
    data = event["data"]
    if "row_digest" in data:
        return bool(row_digest(vote) != data["row_digest"])
    same = all(vote[name] == data.get(name) for name in ("decision", "comment", "via"))
    return not (same and vote["at"] == event["at"] and vote["name"] == event["actor"].get("name", "")[:200])


def _rows(conn: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, JSON as the text that it is."""
    as_is = type_coerce if conn.dialect.name == "sqlite" else cast
    columns = [as_is(c, Text).label(c.name) if isinstance(c.type, JSON) else c for c in table.c]
    query: Select[Any] = select(*columns).order_by(*table.primary_key.columns)
    for row in conn.execute(query, execution_options={"yield_per": _CHUNK}).mappings():
        yield dict(row)


def _json(table: Table) -> tuple[str, ...]:
    return tuple(c.name for c in table.c if isinstance(c.type, JSON))
