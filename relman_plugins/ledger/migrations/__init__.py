"""Schema migrations, run by Alembic through ``relman_plugins.ledger.migrate``."""
