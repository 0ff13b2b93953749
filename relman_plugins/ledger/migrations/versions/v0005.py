"""Stopping the line: what people froze, and lifted again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op  # noqa: TID253 - only Alembic loads this file

from relman_plugins.errors import LedgerError

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, protected as the record is: who lifted a freeze can't be taken back."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "freeze",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True),
        sa.Column("environment", sa.String(63), nullable=False),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("action", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until", moment),
        sa.Column("actor", sa.JSON, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_freeze"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            'CREATE TRIGGER relman_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "freeze" '
            "FOR EACH STATEMENT EXECUTE FUNCTION relman_append_only()"
        )
        op.execute('ALTER TABLE "freeze" ENABLE ALWAYS TRIGGER relman_append_only')
        return
    for name, event in (
        ("update", 'UPDATE ON "freeze"'),
        ("delete", 'DELETE ON "freeze"'),
        ("replace", 'INSERT ON "freeze" WHEN EXISTS (SELECT 1 FROM "freeze" WHERE id = NEW.id)'),
    ):
        op.execute(
            f"CREATE TRIGGER relman_freeze_{name} BEFORE {event} "
            f"BEGIN SELECT RAISE(ABORT, 'relman: freeze is append-only, {name.upper()} refused'); END"
        )


def downgrade() -> None:
    """Refuse: the record is never removed."""
    raise LedgerError("the ledger's schema never goes back; restore a backup to use an older relman")
