"""More than one place for an event: the outbox has a row for each channel, connection and address."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op  # noqa: TID253 - only Alembic loads this file

from relman_plugins.errors import LedgerError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen what makes two rows the same. What is there keeps its place: its connection is the default."""
    with op.batch_alter_table("outbox") as outbox:
        outbox.alter_column("channel", type_=sa.String(63), existing_nullable=False)
        outbox.add_column(
            sa.Column("connection", sa.String(200), nullable=False, server_default=sa.text("''"))
        )
        outbox.drop_constraint("uq_outbox_event_id_channel", type_="unique")
        outbox.create_unique_constraint(
            "uq_outbox_event_id_channel_connection_address",
            ["event_id", "channel", "connection", "address"],
        )
    with op.batch_alter_table("thread") as thread:
        thread.alter_column("channel", type_=sa.String(400), existing_nullable=False)


def downgrade() -> None:
    """Refuse: what is to be told in several places can't be kept in the older schema."""
    raise LedgerError("the ledger's schema never goes back; restore a backup to use an older relman")
