"""The ledger's tables.

``release``, ``event`` and ``vote`` are the record: rows are inserted and never changed, which triggers in the
database enforce. The others are working state that could be rebuilt or may be lost without losing history.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

SCHEMA = "0007"
"""The schema version this code needs: the newest migration. Versions compare as text."""

VERSION_TABLE = "relman_schema"
"""Where the schema version is kept; not Alembic's default name, so that two tools may share a database."""

APPEND_ONLY = ("release", "event", "vote", "freeze", "train")
"""Tables whose rows can't be changed or removed, by trigger."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware point in time; stored in UTC, read back in UTC. A naive value is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware value into UTC; SQLite keeps it without the zone, as sortable text."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the ledger keeps aware times only, got the naive {value.isoformat()}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the value back as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite counts up by itself only for INTEGER keys.
_BigId = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _release_id(**options: Any) -> Column[str]:
    return Column("release_id", String(200), ForeignKey("release.release_id"), nullable=False, **options)


release = Table(
    "release",
    metadata,
    Column("release_id", String(200), primary_key=True),
    Column("pipeline", String(63), nullable=False),
    Column("service", String(63), nullable=False),
    Column("version", String(64), nullable=False),
    Column("n", Integer, nullable=False),
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("plan", JSON, nullable=False),
    Column("plan_hash", String(71), nullable=False),
    Column("shape_hash", String(71), nullable=False),
    Column("spec_digest", String(71), nullable=False),
    Column("slack_channel", String(200)),
    Column("started_by", JSON, nullable=False),
    Column("conf", JSON, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    UniqueConstraint("dag_id", "run_id"),
    UniqueConstraint("pipeline", "version", "n"),
    Index(None, "opened_at"),
)

event = Table(
    "event",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    _release_id(),
    Column("kind", String(40), nullable=False),
    Column("key", String(500), nullable=False, unique=True),
    Column("at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("step", String(200)),
    Column("environment", String(63)),
    Column("actor", JSON, nullable=False),
    Column("data", JSON, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("prev_release_hash", String(71), nullable=False, server_default=text("''")),
    Column("prev_hash", String(71), nullable=False, server_default=text("''")),
    # A row without one is refused: by a check on PostgreSQL, by a trigger on SQLite.
    Column("hash", String(71), nullable=False, server_default=text("''")),
    Index(None, "release_id", "id"),
    Index(None, "release_id", "kind"),
    Index(None, "environment", "kind", "id"),
)

vote = Table(
    "vote",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    _release_id(),
    Column("gate", String(200), nullable=False),
    Column("round", Integer, nullable=False),
    Column("person", String(200), nullable=False),
    Column("name", String(200), nullable=False),
    Column("decision", String(20), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("comment", Text, nullable=False),
    Column("via", String(20), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("release_id", "gate", "round", "person"),
)

head = Table(
    "head",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("id", BigInteger, nullable=False),
    Column("hash", String(71), nullable=False),
    Column("length", BigInteger, nullable=False),
)
"""Where the hash chain ends: one row, moved with every event. Without it, a cut tail would leave no trace."""

archive = Table(
    "archive",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", JSON, nullable=False),
    Column("file", String(200), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("releases", Integer, nullable=False),
    Column("events", Integer, nullable=False),
    Column("contents", String(71), nullable=False),
    Column("prev_hash", String(71), nullable=False),
    Column("hash", String(71), nullable=False),
)
"""A link of the chain beside the events: releases went to a file. Its id is the place in the chain."""

DRY_RUN = "dry_run"
"""Outcome of an archived release that changed nothing: its version may still be released."""

archived_release = Table(
    "archived_release",
    metadata,
    Column("release_id", String(200), primary_key=True),
    Column("pipeline", String(63), nullable=False),
    Column("version", String(64), nullable=False),
    Column("n", Integer, nullable=False),
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime, nullable=False),
    Column("hash", String(71), nullable=False),
    Column("archive_id", BigInteger, ForeignKey("archive.id"), nullable=False, index=True),
    UniqueConstraint("dag_id", "run_id"),
    UniqueConstraint("pipeline", "version", "n"),
)
"""What stays of a release that is in a file: nobody's name."""

archived_run = Table(
    "archived_run",
    metadata,
    Column("first_id", BigInteger, primary_key=True, autoincrement=False),
    Column("last_id", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("prev_hash", String(71), nullable=False),
    Column("hash", String(71), nullable=False),
    Column("archive_id", BigInteger, ForeignKey("archive.id"), nullable=False, index=True),
)
"""A stretch of the chain whose events are in a file."""

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(71), nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("key_id", String(71), nullable=False),
    Column("signature", String(200), nullable=False),
)
"""The chain's end as it was once, signed: what is before it can't be written anew without the key."""

lock = Table(
    "lock",
    metadata,
    Column("environment", String(63), primary_key=True),
    Column("service", String(63), primary_key=True),
    _release_id(),
    Column("token", BigInteger, nullable=False),
    Column("acquired_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

token = Table(
    "token",
    metadata,
    Column("environment", String(63), primary_key=True),
    Column("service", String(63), primary_key=True),
    Column("last", BigInteger, nullable=False),
)

freeze = Table(
    "freeze",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("environment", String(63), nullable=False),
    Column("pipeline", String(63), nullable=False),
    # As one text, sorted, so that the newest row of each scope can be asked for.
    Column("labels", Text, nullable=False, server_default=text("'{}'")),
    Column("unless", String(20), nullable=False, server_default=text("''")),
    Column("action", String(10), nullable=False),
    Column("reason", Text, nullable=False),
    Column("until", UtcDateTime),
    Column("actor", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

train = Table(
    "train",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("pipeline", String(63), nullable=False),
    Column("action", String(20), nullable=False),
    Column("key", String(300), nullable=False, unique=True),
    Column("departs", UtcDateTime),
    Column("version", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("channel", String(200), nullable=False),
    Column("about", BigInteger),
    Column("actor", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index(None, "pipeline", "id"),
    Index(None, "about"),
)
"""What became of trains, and what people did to them; releases have events."""

lease = Table(
    "lease",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("event_id", _BigId, ForeignKey("event.id"), nullable=False),
    _release_id(),
    Column("channel", String(63), nullable=False),
    Column("connection", String(200), nullable=False, server_default=text("''")),
    Column("address", String(200), nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("last_error", Text),
    Column("remote_id", String(200)),
    UniqueConstraint("event_id", "channel", "connection", "address"),
    Index(None, "state", "next_at"),
    Index(None, "release_id", "state"),
)

thread = Table(
    "thread",
    metadata,
    _release_id(primary_key=True),
    Column("channel", String(400), primary_key=True),
    Column("ts", String(50), nullable=False),
    Column("channel_id", String(50), nullable=False),
)

ephemeral = Table(
    "ephemeral",
    metadata,
    Column("environment", String(63), primary_key=True),
    Column("service", String(63), primary_key=True),
    _release_id(),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("state", String(10), nullable=False),
)
