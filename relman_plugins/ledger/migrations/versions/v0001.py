"""The first schema: the record, its protection, and the working tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op  # noqa: TID253 - only Alembic loads this file

from relman_plugins.errors import LedgerError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_APPEND_ONLY = ("release", "event", "vote")

# What makes two rows of a table the same: inserting such a row again is refused on SQLite, since its
# INSERT OR REPLACE removes the old row without asking the DELETE trigger.
_SAME = {
    "release": "release_id = NEW.release_id OR (dag_id = NEW.dag_id AND run_id = NEW.run_id)"
    " OR (pipeline = NEW.pipeline AND version = NEW.version AND n = NEW.n)",
    "event": "id = NEW.id OR key = NEW.key",
    "vote": "id = NEW.id OR (release_id = NEW.release_id AND gate = NEW.gate AND round = NEW.round"
    " AND person = NEW.person)",
}


def upgrade() -> None:
    """Create everything."""
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = sa.DateTime(timezone=True)
    _create_record(big_id, moment)
    _create_working_tables(big_id, moment)
    if op.get_bind().dialect.name == "postgresql":
        _protect_postgresql()
    else:
        _protect_sqlite()


def downgrade() -> None:
    """Refuse: the record is never removed."""
    raise LedgerError("the ledger's schema never goes back; restore a back-up beside it instead")


def _release_id(table: str) -> sa.Column[str]:
    key = sa.ForeignKey("release.release_id", name=f"fk_{table}_release_id")
    return sa.Column("release_id", sa.String(200), key, nullable=False)


def _create_record(big_id: sa.types.TypeEngine[int], moment: sa.DateTime) -> None:
    op.create_table(
        "release",
        sa.Column("release_id", sa.String(200)),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("service", sa.String(63), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("plan_hash", sa.String(71), nullable=False),
        sa.Column("shape_hash", sa.String(71), nullable=False),
        sa.Column("spec_digest", sa.String(71), nullable=False),
        sa.Column("slack_channel", sa.String(200)),
        sa.Column("started_by", sa.JSON, nullable=False),
        sa.Column("conf", sa.JSON, nullable=False),
        sa.Column("opened_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("release_id", name="pk_release"),
        sa.UniqueConstraint("dag_id", "run_id", name="uq_release_dag_id_run_id"),
        sa.UniqueConstraint("pipeline", "version", "n", name="uq_release_pipeline_version_n"),
    )
    op.create_index("ix_release_opened_at", "release", ["opened_at"])
    op.create_table(
        "event",
        sa.Column("id", big_id, autoincrement=True),
        _release_id("event"),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("key", sa.String(500), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("recorded_at", moment, nullable=False),
        sa.Column("step", sa.String(200)),
        sa.Column("environment", sa.String(63)),
        sa.Column("actor", sa.JSON, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sa.UniqueConstraint("key", name="uq_event_key"),
    )
    op.create_index("ix_event_release_id_id", "event", ["release_id", "id"])
    op.create_index("ix_event_release_id_kind", "event", ["release_id", "kind"])
    op.create_index("ix_event_environment_kind_id", "event", ["environment", "kind", "id"])
    op.create_table(
        "vote",
        sa.Column("id", big_id, autoincrement=True),
        _release_id("vote"),
        sa.Column("gate", sa.String(200), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("via", sa.String(20), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_vote"),
        sa.UniqueConstraint(
            "release_id", "gate", "round", "person", name="uq_vote_release_id_gate_round_person"
        ),
    )


def _create_working_tables(big_id: sa.types.TypeEngine[int], moment: sa.DateTime) -> None:
    op.create_table(
        "lock",
        sa.Column("environment", sa.String(63)),
        sa.Column("service", sa.String(63)),
        _release_id("lock"),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("acquired_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("environment", "service", name="pk_lock"),
    )
    op.create_table(
        "token",
        sa.Column("environment", sa.String(63)),
        sa.Column("service", sa.String(63)),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("environment", "service", name="pk_token"),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(100)),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", big_id, autoincrement=True),
        sa.Column("event_id", big_id, sa.ForeignKey("event.id", name="fk_outbox_event_id"), nullable=False),
        _release_id("outbox"),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("address", sa.String(200), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", moment, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("remote_id", sa.String(200)),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("event_id", "channel", name="uq_outbox_event_id_channel"),
    )
    op.create_index("ix_outbox_state_next_at", "outbox", ["state", "next_at"])
    op.create_index("ix_outbox_release_id_state", "outbox", ["release_id", "state"])
    op.create_table(
        "thread",
        _release_id("thread"),
        sa.Column("channel", sa.String(200)),
        sa.Column("ts", sa.String(50), nullable=False),
        sa.Column("channel_id", sa.String(50), nullable=False),
        sa.PrimaryKeyConstraint("release_id", "channel", name="pk_thread"),
    )
    op.create_table(
        "ephemeral",
        sa.Column("environment", sa.String(63)),
        sa.Column("service", sa.String(63)),
        _release_id("ephemeral"),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("environment", "service", name="pk_ephemeral"),
    )


def _protect_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION relman_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'relman: % is append-only, % refused', TG_TABLE_NAME, TG_OP; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f'CREATE TRIGGER relman_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}" '
            "FOR EACH STATEMENT EXECUTE FUNCTION relman_append_only()"
        )
        # ALWAYS: replication roles don't switch it off either.
        op.execute(f'ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER relman_append_only')


def _protect_sqlite() -> None:
    for table in _APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f'CREATE TRIGGER relman_{table}_{verb.lower()} BEFORE {verb} ON "{table}" '
                f"BEGIN SELECT RAISE(ABORT, 'relman: {table} is append-only, {verb} refused'); END"
            )
        same = f'SELECT 1 FROM "{table}" WHERE {_SAME[table]}'  # noqa: S608 - constants of this file
        op.execute(
            f'CREATE TRIGGER relman_{table}_replace BEFORE INSERT ON "{table}" WHEN EXISTS ({same}) '
            f"BEGIN SELECT RAISE(ABORT, 'relman: {table} is append-only, REPLACE refused'); END"
        )
