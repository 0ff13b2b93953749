"""Trains: when each departed, with what, and what people did to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op  # noqa: TID253 - only Alembic loads this file

from relman_plugins.errors import LedgerError

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, protected as the record is: who held a train can't be taken back."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "train",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("departs", moment),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("about", sa.BigInteger),
        sa.Column("actor", sa.JSON, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_train"),
        sa.UniqueConstraint("key", name="uq_train_key"),
    )
    op.create_index("ix_train_pipeline_id", "train", ["pipeline", "id"])
    op.create_index("ix_train_about", "train", ["about"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            'CREATE TRIGGER relman_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "train" '
            "FOR EACH STATEMENT EXECUTE FUNCTION relman_append_only()"
        )
        op.execute('ALTER TABLE "train" ENABLE ALWAYS TRIGGER relman_append_only')
        return
    for name, event in (
        ("update", 'UPDATE ON "train"'),
        ("delete", 'DELETE ON "train"'),
        (
            "replace",
            'INSERT ON "train" WHEN EXISTS (SELECT 1 FROM "train" WHERE id = NEW.id OR key = NEW.key)',
        ),
    ):
        op.execute(
            f"CREATE TRIGGER relman_train_{name} BEFORE {event} "
            f"BEGIN SELECT RAISE(ABORT, 'relman: train is append-only, {name.upper()} refused'); END"
        )


def downgrade() -> None:
    """Refuse: the record is never removed."""
    raise LedgerError("the ledger's schema never goes back; restore a backup to use an older relman")
