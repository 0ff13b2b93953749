"""Retention and signatures: what an archive leaves in the chain, and checkpoints that a key has signed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op  # noqa: TID253 - only Alembic loads this file

from relman_plugins.errors import LedgerError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; they are covered by the chain, or by a signature."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "archive",
        sa.Column("id", sa.BigInteger, autoincrement=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("actor", sa.JSON, nullable=False),
        sa.Column("file", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("releases", sa.Integer, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("contents", sa.String(71), nullable=False),
        sa.Column("prev_hash", sa.String(71), nullable=False),
        sa.Column("hash", sa.String(71), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_archive"),
    )
    op.create_table(
        "archived_release",
        sa.Column("release_id", sa.String(200)),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("opened_at", moment, nullable=False),
        sa.Column("closed_at", moment, nullable=False),
        sa.Column("hash", sa.String(71), nullable=False),
        _archive_id("archived_release"),
        sa.PrimaryKeyConstraint("release_id", name="pk_archived_release"),
        sa.UniqueConstraint("dag_id", "run_id", name="uq_archived_release_dag_id_run_id"),
        sa.UniqueConstraint("pipeline", "version", "n", name="uq_archived_release_pipeline_version_n"),
    )
    op.create_index("ix_archived_release_archive_id", "archived_release", ["archive_id"])
    op.create_table(
        "archived_run",
        sa.Column("first_id", sa.BigInteger, autoincrement=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("prev_hash", sa.String(71), nullable=False),
        sa.Column("hash", sa.String(71), nullable=False),
        _archive_id("archived_run"),
        sa.PrimaryKeyConstraint("first_id", name="pk_archived_run"),
    )
    op.create_index("ix_archived_run_archive_id", "archived_run", ["archive_id"])
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.BigInteger, autoincrement=False),
        sa.Column("hash", sa.String(71), nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("key_id", sa.String(71), nullable=False),
        sa.Column("signature", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoint"),
    )


def _archive_id(table: str) -> sa.Column[int]:
    key = sa.ForeignKey("archive.id", name=f"fk_{table}_archive_id")
    return sa.Column("archive_id", sa.BigInteger, key, nullable=False)


def downgrade() -> None:
    """Refuse: the record is never removed."""
    raise LedgerError("the ledger's schema never goes back; restore a backup to use an older relman")
