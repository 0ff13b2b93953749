"""Whatever is done to a row of the record: ``verify`` finds it, and names the first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, NullPool, create_engine, text

from relman_plugins.domain.base import canonical_json, digest_of
from relman_plugins.domain.chain import ChainedEvent, chain_hash, first_break
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.api import Ledger
from tests.ledger.make import GATE, Open, open_gate
from tests.ledger.test_concurrency import in_processes

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    texts=st.lists(st.text(), min_size=8, max_size=8),
    maybe=st.lists(st.none() | st.text(), min_size=2, max_size=2),
    data=st.dictionaries(st.text(), JSONS, max_size=3),
    numbers=st.lists(st.integers(0), min_size=2, max_size=2),
)
def test_the_hash_is_the_digest_of_the_row(
    texts: list[str], maybe: list[str | None], data: dict[str, Any], numbers: list[int]
) -> None:
    names = ("release_id", "kind", "key", "at", "recorded_at", "prev_release_hash", "prev_hash")
    row: dict[str, Any] = dict(zip(names, texts, strict=False))
    row |= {"step": maybe[0], "environment": maybe[1], "actor": {"id": texts[7]}, "data": data}
    row |= {"id": numbers[0], "schema_version": numbers[1]}
    told = row | {"actor": canonical_json(row["actor"]), "data": canonical_json(data), "id_": row["id"]}
    del told["id"]
    assert chain_hash(**told) == digest_of(row) == ChainedEvent(**row, hash="").computed()


@pytest.fixture
def record(ledger: Ledger, open_release: Open) -> Ledger:
    """Two releases, whose events take turns."""
    a, b = open_release("run-1"), open_release("run-2")
    open_gate(ledger, a)
    for n in range(3):
        for release in (a, b):
            new = NewEvent(
                kind=Kind.STEP_STARTED, key=f"{release.release_id}:{n}", step="build", data={"n": n}
            )
            ledger.record(release.release_id, new)
    ledger.votes.cast(a.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api")
    return ledger


def unprotected(conn: Connection) -> None:
    if conn.dialect.name == "sqlite":
        for table in t.APPEND_ONLY:
            for verb in ("update", "delete", "replace"):
                conn.execute(text(f"DROP TRIGGER IF EXISTS relman_{table}_{verb}"))
        conn.execute(text("DROP TRIGGER IF EXISTS relman_event_chained"))
        conn.commit()
        conn.execute(text("PRAGMA foreign_keys = OFF"))
    else:
        for table in t.metadata.tables:
            conn.execute(text(f'ALTER TABLE "{table}" DISABLE TRIGGER ALL'))


@pytest.fixture
def tamper(record: Ledger, url: str) -> Iterator[Callable[..., list[str]]]:
    """Run statements as the database's owner; return what the chain and the cross-checks say then."""

    def tamper(*statements: str) -> list[str]:
        with create_engine(url, poolclass=NullPool).connect() as conn:
            unprotected(conn)
            for statement in statements:
                assert conn.exec_driver_sql(statement).rowcount
            conn.commit()
        named = ("chain", "releases", "votes")
        return [p for check in record.verify() if check.check in named for p in check.problems]

    assert [p for check in record.verify() for p in check.problems] == []
    yield tamper
    if not url.startswith("sqlite"):
        with create_engine(url, poolclass=NullPool).begin() as conn:
            for table in t.metadata.tables:
                conn.execute(text(f'ALTER TABLE "{table}" ENABLE TRIGGER ALL'))


CHANGES = {
    "release_id": "'checkout-1.1.0-2'",
    "kind": "'step.failed'",
    "key": "'another'",
    "at": "'2026-03-29 00:30:00.000001+00'",
    "recorded_at": "'2020-01-01 00:00:00.000000+00'",
    "step": "NULL",
    "environment": "'production'",
    "actor": '\'{"kind":"person"}\'',
    "data": "'{\"n\": 1}'",
    "schema_version": "2",
    "prev_release_hash": "'sha256:0'",
    "prev_hash": "'sha256:0'",
    "hash": "'sha256:0'",
    "id": "77",
}


def test_every_column_is_tried() -> None:
    assert set(CHANGES) == set(t.event.c.keys())


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_column_is_found_and_its_row_named(
    tamper: Callable[..., list[str]], url: str, column: str
) -> None:
    value = CHANGES[column].replace("+00", "") if url.startswith("sqlite") else CHANGES[column]
    first = tamper(f"UPDATE event SET {column} = {value} WHERE id = 6")[0]
    assert "event 6 " in first or (column == "id" and "between event 5 and event 7" in first), first


def test_any_row_that_is_removed_is_found_there(tamper: Callable[..., list[str]]) -> None:
    said = tamper("DELETE FROM event WHERE id = 6")
    assert said[0].startswith("between event 5 and event 7 something was removed")
    assert any("event 8 of checkout-1.1.0-1" in line for line in said), "the release that lost it"


def test_the_first_event_and_the_last_are_missed_too(tamper: Callable[..., list[str]]) -> None:
    said = tamper("DELETE FROM event WHERE id = 1 OR id > 9")
    assert said[0] == "before event 2 something was removed: it is the first, but was not recorded as such"
    assert "after event 9 the end was removed, up to event 11; in all of the record 3 are missing" in said


def test_events_that_changed_places_are_named(tamper: Callable[..., list[str]]) -> None:
    said = tamper(
        "UPDATE event SET id = 999 WHERE id = 5",
        "UPDATE event SET id = 5 WHERE id = 6",
        "UPDATE event SET id = 6 WHERE id = 999",
    )
    assert said[0].startswith("event 5 of ")


COPY = (
    "INSERT INTO event (id, release_id, kind, key, at, recorded_at, actor, data, schema_version, "
    "prev_release_hash, prev_hash, hash) "
    "SELECT {id}, release_id, kind, 'copy', at, recorded_at, actor, data, schema_version, prev_release_hash, "
    "{prev}, '{hash}' FROM event WHERE id = {of}"
)


def test_an_event_that_was_put_in_is_named(tamper: Callable[..., list[str]]) -> None:
    first = tamper(COPY.format(id=12, of=11, prev="hash", hash="sha256:0"))[0]
    assert first.startswith("event 12 of checkout-1.1.0-1")


def test_a_row_changed_with_its_hash_is_found_at_the_next(tamper: Callable[..., list[str]], url: str) -> None:
    with create_engine(url, poolclass=NullPool).connect() as conn:
        row = dict(conn.execute(text("SELECT * FROM event WHERE id = 6")).mappings().one())
    moments = {k: str(row[k])[:19].replace(" ", "T") + ".000000Z" for k in ("at", "recorded_at")}
    parsed = {k: json.loads(row[k]) if isinstance(row[k], str) else row[k] for k in ("actor", "data")}
    forged = ChainedEvent.model_validate(row | moments | parsed)
    assert forged.computed() == forged.hash
    forged = forged.model_copy(update={"data": {"n": 7}})
    said = tamper(f"UPDATE event SET data = '{{\"n\":7}}', hash = '{forged.computed()}' WHERE id = 6")
    assert said[0].startswith("event 6 was changed together with its hash")


ROWS = [
    ("release", "conf", "'{}'"),
    ("release", "run_id", "'another'"),
    ("release", "dag_id", "'another'"),
    ("release", "service", "'another'"),
    ("release", "slack_channel", "NULL"),
    ("release", "n", "9"),
    ("release", "started_by", '\'{"kind": "person", "id": "mallory"}\''),
    ("release", "opened_at", "'2020-01-01 00:00:00.000000'"),
    ("release", "spec_digest", "'sha256:0'"),
    ("release", "shape_hash", "'sha256:0'"),
    ("release", "plan_hash", "'sha256:0'"),
    ("release", "plan", "'{}'"),
    ("release", "version", "'9'"),
    ("release", "pipeline", "'another'"),
    ("vote", "id", "7"),
    ("vote", "gate", "'another'"),
    ("vote", "round", "2"),
    ("vote", "person", "'bob'"),
    ("vote", "name", "'Bob'"),
    ("vote", "decision", "'reject'"),
    ("vote", "digest", "'sha256:0'"),
    ("vote", "comment", "'looked at it'"),
    ("vote", "via", "'cli'"),
    ("vote", "at", "'2020-01-01 00:00:00.000000'"),
]


@pytest.mark.parametrize(("table", "column", "value"), ROWS, ids=[f"{r[0]}.{r[1]}" for r in ROWS])
def test_a_row_that_differs_from_its_event_is_found(
    tamper: Callable[..., list[str]], table: str, column: str, value: str
) -> None:
    which = "release_id = 'checkout-1.1.0-1'" if table == "release" else "true"
    (said,) = tamper(f'UPDATE "{table}" SET {column} = {value} WHERE {which}')[:1]
    assert "release checkout-1.1.0-1" in said


def test_one_chain_of_many_processes(ledger: Ledger, open_release: Open) -> None:
    ids = [open_release(f"run-{i}").release_id for i in range(4)]

    def write(i: int) -> None:
        for j in range(25):
            ledger.record(ids[i % 4], NewEvent(kind=Kind.STEP_STARTED, key=f"{i}:{j}", step="s"))

    assert [r for r in in_processes(8, write) if r] == []
    assert [p for check in ledger.verify() for p in check.problems] == []
    chain = next(check for check in ledger.verify() if check.check == "chain")
    assert chain.looked_at == 204
    assert first_break(ledger.chain(ids[0])) == ""
    assert len(ledger.chain(ids[0])) == 51


def test_a_release_out_of_its_ledger_is_checked_alone(record: Ledger) -> None:
    events = record.chain("checkout-1.1.0-1")
    assert first_break(events) == ""
    assert events[-1].hash == record.events("checkout-1.1.0-1")[-1].hash
    assert "something is missing" in first_break(events[1:])
    assert "something is missing" in first_break([events[0], *events[2:]])
    painted = events[1].model_copy(update={"data": {}})
    assert "another hash" in first_break([events[0], painted])


@pytest.mark.parametrize(("more", "said"), [(1, 12), (-1, 10)])
def test_a_head_that_counts_otherwise_is_found(
    tamper: Callable[..., list[str]], more: int, said: int
) -> None:
    found = tamper(f"UPDATE head SET length = length + {more}")
    assert found == [f"the record has 11 events, but {said} were recorded"]


def test_without_its_head_nothing_is_recorded(record: Ledger, url: str) -> None:
    with create_engine(url, poolclass=NullPool).begin() as conn:
        conn.execute(text("DELETE FROM head"))
    with pytest.raises(LedgerError, match="lost its row"):
        record.record("checkout-1.1.0-1", NewEvent(kind=Kind.STEP_STARTED, key="next"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_one_deed_to_any_row_is_found(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> None:
    from tests.ledger.random_record import deed, filled

    path = tmp_path_factory.mktemp("any") / "ledger.db"
    ledger = filled(path, sqlite_template)
    with create_engine(f"sqlite:///{path}", poolclass=NullPool).connect() as conn:
        unprotected(conn)
        row = data.draw(st.integers(1, 11))
        names = deed(conn, row, data)
        conn.commit()
    chain = next(check for check in ledger.verify() if check.check == "chain")
    assert chain.problems
    assert any(f"event {n}" in chain.problems[0] for n in names), (names, chain.problems)
    ledger.close()
