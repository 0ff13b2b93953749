from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from alembic import command  # noqa: TID253
from alembic.autogenerate import compare_metadata  # noqa: TID253 - the comparison is the test
from alembic.config import Config  # noqa: TID253
from alembic.migration import MigrationContext  # noqa: TID253
from alembic.script import ScriptDirectory  # noqa: TID253
from sqlalchemy import create_engine, text

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.errors import LedgerUnavailable
from relman_plugins.ledger import tables
from relman_plugins.ledger.api import Ledger, Line, open_ledger

AT = "2026-01-02 03:04:05.000000"
MIGRATIONS = Path(tables.__file__).parent / "migrations"


def set_version(url: str, version: str) -> None:
    with create_engine(url).begin() as conn:
        conn.execute(text("UPDATE relman_schema SET version_num = :v"), {"v": version})


def test_an_empty_database_is_brought_up_and_then_left_alone(empty_url: str) -> None:
    ledger = Ledger(empty_url)
    with pytest.raises(LedgerUnavailable, match="relman ledger migrate"):
        ledger.check()
    ledger.migrate()
    ledger.check()
    ledger.migrate()
    ledger.check()
    assert ledger.releases() == []
    ledger.close()


def test_the_migrated_schema_is_the_one_the_tables_describe(url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as conn:
        context = MigrationContext.configure(
            conn,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "version_table": tables.VERSION_TABLE,
            },
        )
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


def test_there_is_one_line_of_migrations_up_to_the_version_this_code_needs() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [tables.SCHEMA]
    assert [r.revision for r in script.walk_revisions()] == sorted(
        (r.revision for r in script.walk_revisions()), reverse=True
    )


def test_eight_processes_may_migrate_at_once(empty_url: str) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(8)

    def child() -> None:
        start.wait(30)
        ledger = Ledger(empty_url)
        ledger.migrate()
        ledger.check()

    children = [context.Process(target=child) for _ in range(8)]
    for process in children:
        process.start()
    for process in children:
        process.join(60)
    assert [p.exitcode for p in children] == [0] * 8


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("0000", f"this relman needs {tables.SCHEMA}; run `relman ledger migrate`"),
        ("9999", "upgrade relman on this machine"),
    ],
)
def test_another_schema_version_is_refused_with_advice(url: str, version: str, advice: str) -> None:
    set_version(url, version)
    ledger = Ledger(url)
    with pytest.raises(LedgerUnavailable, match=advice):
        ledger.check()
    ledger.close()


def test_a_newer_schema_is_not_touched(url: str) -> None:
    set_version(url, "9999")
    with pytest.raises(LedgerUnavailable, match=f"has schema 9999, newer than the {tables.SCHEMA}"):
        Ledger(url).migrate()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "postgresql+psycopg://me:hunter2@127.0.0.1:1/none",
            "does not answer.*the database is up",
        ),
        ("postgresql://me:hunter2@127.0.0.1:1/none", "does not answer"),
        ("postgresql://me@127.0.0.1:1/none?sslpassword=hunter2", "does not answer"),
        ("sqlite:////nowhere/at/all.db", "does not exist yet; run `relman ledger migrate`"),
        ("sqlite://", "in-memory"),
        ("mysql://me:hunter2@localhost/x", "can't be kept in 'mysql'"),
        ("nonsense hunter2", "not a database URL"),
        ("", "not a database URL"),
    ],
)
def test_an_unreachable_ledger_says_what_to_do(url: str, words: str) -> None:
    with pytest.raises(LedgerUnavailable, match=words) as caught:
        Ledger(url).check()
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(Ledger(url))


def test_calls_on_an_unmigrated_database_say_what_to_do(empty_url: str) -> None:
    ledger = Ledger(empty_url)
    calls = [
        lambda: ledger.release("x"),
        lambda: ledger.record("x", NewEvent(kind=Kind.STEP_STARTED, key="k")),
        lambda: ledger.locks.held(),
        lambda: ledger.outbox.pending(),
        lambda: ledger.votes.open_gates(),
    ]
    for call in calls:
        with pytest.raises(LedgerUnavailable, match="run `relman ledger migrate`"):
            call()
    ledger.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database, just some text\n" * 100)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        Ledger(f"sqlite:///{tmp_path}/ledger.db").check()


def test_a_ledger_is_opened_once_for_each_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/folder/ledger.db"
    ledger = open_ledger(url)
    ledger.check()
    assert open_ledger(url) is ledger
    with pytest.raises(LedgerUnavailable):
        open_ledger(f"sqlite:///{tmp_path}/other.db", migrate=False).check()
    ledger.close()


def test_what_waits_in_an_older_outbox_is_told_after_the_upgrade(empty_url: str) -> None:
    engine = create_engine(empty_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    release = {
        "release_id": "r-1-1", "pipeline": "r", "service": "r", "version": "1", "n": 1, "dag_id": "d",
        "run_id": "x", "plan": '{"shape": {}, "options": {"version": "1"}}', "plan_hash": "p",
        "shape_hash": "s", "spec_digest": "d", "slack_channel": "#a", "started_by": "{}", "conf": "{}",
        "opened_at": AT,
    }  # fmt: skip
    happened = {
        "release_id": "r-1-1", "kind": "step.failed", "key": "k", "at": AT, "recorded_at": AT,
        "actor": "{}", "data": "{}", "schema_version": 1,
    }  # fmt: skip
    waits = {
        "event_id": 1, "release_id": "r-1-1", "channel": "slack", "address": "#a", "state": "pending",
        "attempts": 2, "next_at": AT,
    }  # fmt: skip
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0001")
        for table, row in (("release", release), ("event", happened), ("outbox", waits)):
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            conn.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
    engine.dispose()
    ledger = Ledger(empty_url)
    ledger.migrate()
    (message,) = ledger.outbox.due()
    assert (message.attempts, message.channel, message.connection, message.address) == (2, "slack", "", "#a")
    assert ledger.outbox.lines() == [Line("slack", "")]
    ledger.record("r-1-1", NewEvent(kind=Kind.STEP_FAILED, key="k2"))
    assert [m.event.key for m in ledger.outbox.due()] == ["k", "k2"]
    ledger.close()
