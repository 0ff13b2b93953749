"""Bringing the database to the schema this code needs, and saying whether it is there."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from relman_plugins.errors import LedgerUnavailable
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.tables import SCHEMA, VERSION_TABLE


def schema_version(conn: Connection) -> str | None:
    """Return the schema version a database has; None when it has none."""
    if not inspect(conn).has_table(VERSION_TABLE):
        return None
    found = conn.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    return None if found is None else str(found)


def check(db: Database) -> None:
    """Raise LedgerUnavailable unless the database answers and has exactly the schema this code needs."""
    if db.file is not None and not db.file.exists():
        raise LedgerUnavailable(
            f"ledger {db.label} does not exist yet; run `relman ledger migrate` to create it"
        )
    with db.read() as conn:
        found = schema_version(conn)
    if found == SCHEMA:
        return
    if found is not None and found > SCHEMA:
        raise LedgerUnavailable(
            f"ledger {db.label} has schema {found}, newer than the {SCHEMA} of this relman; "
            "upgrade relman on this machine (`relman ledger migrate` never goes back)"
        )
    raise LedgerUnavailable(
        f"ledger {db.label} has schema {found or '(none)'}, this relman needs {SCHEMA}; "
        "run `relman ledger migrate`"
    )


def migrate(db: Database) -> None:
    """Create or upgrade the schema in one transaction. Idempotent; several processes may call it at once.

    Raises LedgerUnavailable when the database doesn't answer or is newer than this code.
    """
    if db.file is not None:
        db.file.parent.mkdir(parents=True, exist_ok=True)
        db.use_wal()
    with db.read() as conn:
        found = schema_version(conn)
    if found is not None and found >= SCHEMA:
        check(db)
        return
    with db.write("migrate") as conn:
        upgrade(conn)


def upgrade(conn: Connection) -> None:
    """Run the migrations a database lacks, inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
