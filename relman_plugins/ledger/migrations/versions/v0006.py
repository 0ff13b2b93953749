"""Freezes of pipelines with some labels, and freezes that leave room for exceptions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op  # noqa: TID253 - only Alembic loads this file

from relman_plugins.errors import LedgerError

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was frozen before is about all labels, and has no exceptions."""
    labels = sa.Column("labels", sa.Text, nullable=False, server_default=sa.text("'{}'"))
    unless = sa.Column("unless", sa.String(20), nullable=False, server_default=sa.text("''"))
    op.add_column("freeze", labels)
    op.add_column("freeze", unless)


def downgrade() -> None:
    """Refuse: the record is never removed."""
    raise LedgerError("the ledger's schema never goes back; restore a backup to use an older relman")
