"""The hash chain: every event carries the hash of the one before it, in the ledger and in its release."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op  # noqa: TID253 - only Alembic loads this file

from relman_plugins.domain.chain import FIRST
from relman_plugins.errors import LedgerError
from relman_plugins.ledger.chain import computed, raw_events

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CHUNK = 2000
_COLUMNS = ("prev_release_hash", "prev_hash", "hash")


def upgrade() -> None:
    """Hang what is there into the chain, in its order, and refuse from here on what is not in it."""
    conn = op.get_bind()
    for name in _COLUMNS:
        # SQLite adds columns to a table only with a default; a table that others refer to is not made anew.
        op.add_column("event", sa.Column(name, sa.String(71), nullable=False, server_default=sa.text("''")))
    op.create_table(
        "head",
        sa.Column("name", sa.String(20)),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(71), nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_head"),
    )
    if conn.dialect.name == "postgresql":
        op.execute("ALTER TABLE event DISABLE TRIGGER relman_append_only")
        _chain(conn)
        op.execute("ALTER TABLE event ENABLE ALWAYS TRIGGER relman_append_only")
        # An older relman that was at work meanwhile must not write past the chain.
        op.execute("ALTER TABLE event ADD CONSTRAINT ck_event_hash CHECK (hash <> '')")
    else:
        query = sa.text("SELECT sql FROM sqlite_master WHERE name = 'relman_event_update'")
        protection = conn.execute(query).scalar_one()
        op.execute("DROP TRIGGER relman_event_update")
        _chain(conn)
        op.execute(protection)
        op.execute(
            "CREATE TRIGGER relman_event_chained BEFORE INSERT ON \"event\" WHEN NEW.hash = '' "
            "BEGIN SELECT RAISE(ABORT, 'relman: an event without its hash, INSERT refused'); END"
        )


def downgrade() -> None:
    """Refuse: the record is never removed."""
    raise LedgerError("the ledger's schema never goes back; restore a backup to use an older relman")


def _chain(conn: sa.Connection) -> None:
    # Not the tables of today's code, which later migrations change.
    head = sa.table("head", *map(sa.column, ("name", "id", "hash", "length")))
    event = sa.table("event", *map(sa.column, ("id", *_COLUMNS)))
    change = (
        sa.update(event)
        .where(event.c.id == sa.bindparam("of"))
        .values({name: sa.bindparam(f"new_{name}") for name in _COLUMNS})
    )
    last: dict[str, str] = {}
    prev, length, last_id = FIRST, 0, 0
    for rows in _chunks(conn):
        changes = []
        for row in rows:
            before = last.get(row.release_id, FIRST)
            hash_ = computed((*row[:-3], before, prev, ""))
            if not hash_:
                raise LedgerError(
                    f"event {row.id} of {row.release_id} is not as relman writes it and can't be chained; "
                    "the ledger stays as it was. Look at that row, then run `relman ledger migrate` again"
                )
            changes.append(
                {"of": row.id, "new_prev_release_hash": before, "new_prev_hash": prev, "new_hash": hash_}
            )
            last[row.release_id] = prev = hash_
            length, last_id = length + 1, row.id
        conn.execute(change, changes)
    if length:
        conn.execute(head.insert().values(name="ledger", id=last_id, hash=prev, length=length))


def _chunks(conn: sa.Connection) -> Iterator[list[Any]]:
    after = 0
    while rows := list(conn.execute(raw_events(conn, after=after).limit(_CHUNK))):
        yield rows
        after = rows[-1].id
