"""Alembic's entry point: runs the migrations on the connection and in the transaction it was given."""

from __future__ import annotations

from alembic import context  # noqa: TID253 - only Alembic loads this file

from relman_plugins.ledger.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
