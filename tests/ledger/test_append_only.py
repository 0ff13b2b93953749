from __future__ import annotations

import pytest
from sqlalchemy import Connection, NullPool, create_engine, func, select, text
from sqlalchemy.exc import DBAPIError

from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from tests.conftest import Postgres
from tests.ledger.make import GATE, open_gate

STATEMENTS = [
    'UPDATE "{table}" SET {column} = {column}',
    'DELETE FROM "{table}"',
    'DELETE FROM "{table}" WHERE {column} = (SELECT max({column}) FROM "{table}")',
]
COLUMN = dict.fromkeys(t.APPEND_ONLY, "release_id") | {"freeze": "reason", "train": "reason"}


@pytest.fixture
def full(ledger: Ledger, release: ReleaseRecord) -> Ledger:
    open_gate(ledger, release)
    result = ledger.votes.cast(
        release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api"
    )
    assert result.accepted
    dana = Actor(kind="person", id="dana", name="Dana", via="cli")
    ledger.freezes.freeze(environment="", pipeline="", reason="incident", until=None, actor=dana)
    ledger.trains.act("checkout", "hold", actor=dana, reason="incident")
    return ledger


def refused(conn: Connection, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"), conn.begin():
        conn.execute(text(statement))


def rows(url: str) -> list[int | None]:
    with create_engine(url).connect() as conn:
        return [
            conn.execute(select(func.count()).select_from(t.metadata.tables[n])).scalar()
            for n in t.APPEND_ONLY
        ]


@pytest.mark.parametrize("table", t.APPEND_ONLY)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_record_is_never_changed_or_removed(full: Ledger, url: str, table: str, statement: str) -> None:
    before = rows(url)
    if "1 = 0" in statement and url.startswith("sqlite"):
        pytest.skip(
            "SQLite's triggers are by row: a statement that touches none isn't refused, and harms nothing"
        )
    with create_engine(url).connect() as conn:
        refused(conn, statement.format(table=table, column=COLUMN[table]))
    assert rows(url) == before
    assert min(n or 0 for n in before) > 0


@pytest.mark.parametrize("table", t.APPEND_ONLY)
def test_the_ways_round_are_closed_too(full: Ledger, url: str, table: str) -> None:
    before = rows(url)
    with create_engine(url).connect() as conn:
        if url.startswith("sqlite"):
            refused(conn, f'INSERT OR REPLACE INTO "{table}" SELECT * FROM "{table}"')

        else:
            refused(conn, f'TRUNCATE "{table}" CASCADE')
            refused(conn, f'UPDATE "{table}" SET {COLUMN[table]} = {COLUMN[table]} WHERE false')
    assert rows(url) == before


def test_a_replication_role_does_not_switch_the_protection_off(postgres: Postgres) -> None:
    # A database of its own: the shared one's triggers are switched off and on again between tests.
    with postgres.database() as url:
        ledger = Ledger(url)
        ledger.migrate()
        ledger.close()
        with create_engine(url, poolclass=NullPool).connect() as conn:
            for table in t.APPEND_ONLY:
                refused(conn, f'SET LOCAL session_replication_role = replica; DELETE FROM "{table}"')


def test_working_tables_may_change(full: Ledger, release: ReleaseRecord) -> None:
    message = full.outbox.due()[0]
    full.outbox.sent(message.id, "1.1")
    assert message.id not in [m.id for m in full.outbox.due()]
