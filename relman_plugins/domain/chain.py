"""The hash chain: what exactly of a recorded event is hashed, so that anybody can compute it again.

An event's hash is ``digest_of`` an object with the columns of its row, all but ``hash`` itself: SHA-256 of
the canonical JSON. Among them are the hash of the event before it in the whole ledger and of the one before
it in its own release, so each of the two is a chain: nothing in it can be changed, left out, put in or moved
without another hash at its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring as _quoted
from typing import Any

from relman_plugins.domain.base import Frozen, canonical_json, digest_of

FIRST = ""
"""The hash before the first."""


class ChainedEvent(Frozen):
    """An event with everything that its hash covers, ready to be written to a file and checked there."""

    id: int
    release_id: str
    kind: str
    key: str
    at: str
    """When it happened, as :func:`moment_text` writes it."""
    recorded_at: str
    step: str | None
    environment: str | None
    actor: dict[str, Any]
    data: dict[str, Any]
    schema_version: int
    prev_release_hash: str
    """Hash of the event before it in its release; empty for the first."""
    prev_hash: str
    """Hash of what is before it in the whole ledger; empty for the first."""
    hash: str

    def computed(self) -> str:
        """Return the hash that the content gives; it is ``hash`` unless somebody changed one of them."""
        return digest_of(self.model_dump(exclude={"hash"}))


class Head(Frozen):
    """Where a chain ends: who keeps it elsewhere can tell later whether anything before it was touched."""

    id: int
    """Of the event (or other link) at the end; 0 in an empty ledger."""
    hash: str
    length: int
    """How many links there are."""


def moment_text(at: datetime) -> str:
    """Write an aware time as it is hashed: UTC, with microseconds, ``2026-01-31T14:00:00.000000Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def chain_hash(
    id_: int,
    release_id: str,
    kind: str,
    key: str,
    at: str,
    recorded_at: str,
    step: str | None,
    environment: str | None,
    actor: str,
    data: str,
    schema_version: int,
    prev_release_hash: str,
    prev_hash: str,
) -> str:
    """Return an event's hash from its columns, ``actor`` and ``data`` as canonical JSON text.

    The same as :meth:`ChainedEvent.computed`, without reading and writing JSON: there are millions of them.
    """
    text = (
        f'{{"actor":{actor},"at":{_quoted(at)},"data":{data},'
        f'"environment":{"null" if environment is None else _quoted(environment)},"id":{id_:d},'
        f'"key":{_quoted(key)},"kind":{_quoted(kind)},"prev_hash":{_quoted(prev_hash)},'
        f'"prev_release_hash":{_quoted(prev_release_hash)},"recorded_at":{_quoted(recorded_at)},'
        f'"release_id":{_quoted(release_id)},"schema_version":{schema_version:d},'
        f'"step":{"null" if step is None else _quoted(step)}}}'
    )
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def row_digest(row: Mapping[str, Any], json_text: Collection[str] = ()) -> str:
    """Return the digest of a row of another table: ``digest_of`` its columns, times as ``moment_text``.

    What is null is left out, so that a later schema may add columns. ``json_text`` names the columns that are
    canonical JSON text already.
    """
    parts = []
    for name in sorted(row):
        value = row[name]
        if value is None:
            continue
        if isinstance(value, datetime):
            value = moment_text(value)
        parts.append(f"{_quoted(name)}:{value if name in json_text else canonical_json(value)}")
    return "sha256:" + hashlib.sha256(f"{{{','.join(parts)}}}".encode()).hexdigest()


def first_break(events: Iterable[ChainedEvent]) -> str:
    """Return what is wrong first with all the events of one release, in order; empty when nothing is."""
    before = FIRST
    last: int | None = None
    for event in events:
        if event.computed() != event.hash:
            return f"event {event.id} ({event.kind}) is not as recorded: it gives another hash"
        if event.prev_release_hash != before:
            where = "before the first event" if last is None else f"between event {last} and event {event.id}"
            return f"{where} ({event.kind}) something is missing or was put in"
        before, last = event.hash, event.id
    return ""
