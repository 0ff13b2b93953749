"""Numbers from databases: real SQLite and PostgreSQL, reached by Airflow's own hooks."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.clients.metrics.base import Answer, Question
from relman_plugins.clients.metrics.sql import bound
from relman_plugins.domain.sql_query import parts
from relman_plugins.errors import ClientRejected, ClientUnavailable
from relman_plugins.hooks.metrics import async_opening, checked
from tests.conftest import Postgres

ROWS = [("1.0.0", "ok", 0.1), ("1.1.0", "ok", 0.2), ("1.1.0", "failed", 3.0), ("a'b", "100%", None)]
CREATE = "CREATE TABLE orders (version text, status text, seconds float)"
VALUES = Question("", service="shop", environment="qa", version="1.1.0", stable="1.0.0", window_s=37.25)


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "orders.db"
    with sqlite3.connect(path) as database:
        database.execute(CREATE)
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", ROWS)
    monkeypatch.setenv("AIRFLOW_CONN_ORDERS", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    return path


@pytest.fixture
def postgresql(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from sqlalchemy import create_engine, make_url, text

    with postgres.database() as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text(CREATE))
            for version, status, seconds in ROWS:
                row = {"v": version, "s": status, "n": seconds}
                connection.execute(text("INSERT INTO orders VALUES (:v, :s, :n)"), row)
        engine.dispose()
        parts = make_url(url)
        told = {"conn_type": "postgres", "login": parts.username, "schema": parts.database}
        told |= {"host": parts.query["host"]}
        monkeypatch.setenv("AIRFLOW_CONN_ORDERS", json.dumps(told))
        yield


def ask(query: str, **values: Any) -> Answer:
    async def asked() -> Answer:
        source = (await async_opening("sql", "orders")).open()
        try:
            return await source.number(VALUES._replace(query=query, **values))
        finally:
            await source.aclose()

    return asyncio.run(asked())


def numbers_of_both() -> None:
    """What is the same in both databases."""
    count = "SELECT count(*) FROM orders WHERE version = $version"
    assert ask(count).value == 2
    assert ask(count, version="a'b").value == 1
    assert ask(count, version="' OR '1'='1").value == 0
    assert ask(f"{count} AND status LIKE '10_%' OR version = ${{stable}}").value == 1
    assert ask("SELECT count(*) FROM orders WHERE status LIKE '%00%%'").value == 1
    assert ask("SELECT max(seconds) FROM orders WHERE version = $version").value == 3
    assert ask("SELECT $window * 2").value == 74.5
    assert ask(f"{count} AND '' = $track").value == 2
    assert ask(f"{count} AND 'baseline' = $track", track="baseline").value == 2
    assert ask("WITH a AS (SELECT 1.5 AS x) SELECT x FROM a;").value == 1.5
    assert ask("SELECT seconds FROM orders WHERE version = 'nobody'").nothing == "the query gave no row"
    assert ask("SELECT seconds FROM orders WHERE status = '100%'").nothing == "the query gave NULL"
    for query, said in {
        "SELECT seconds FROM orders": "several rows",
        "SELECT version, status FROM orders LIMIT 1": "2 columns",
        "SELECT version FROM orders LIMIT 1": "gives a str; expected a number",
        "SELECT $zone": r"names \$zone; expected one of \$service",
        "SELECT '$version'": r"\$version stands in quotes",
        "DELETE FROM orders": "must begin with SELECT or WITH",
        "SELECT 1; DROP TABLE orders": "more than one statement",
    }.items():
        with pytest.raises(ClientRejected, match=said):
            ask(query)


@pytest.mark.real
def test_sqlite(sqlite: Path) -> None:
    numbers_of_both()
    with pytest.raises(ClientUnavailable, match=r"'orders' says OperationalError: attempt to write"):
        ask("WITH a AS (SELECT 1) INSERT INTO orders SELECT 'x', 'x', 1 FROM a")
    with pytest.raises(ClientUnavailable, match="no such table: nowhere"):
        ask("SELECT n FROM nowhere")
    with sqlite3.connect(sqlite) as database:
        assert database.execute("SELECT count(*) FROM orders").fetchone() == (4,)


LEAVING = (
    "SELECT 1 /* /* */ ' */ ; COMMIT; DELETE FROM orders; -- '",
    "SELECT $A$ ' $A$; COMMIT; DELETE FROM orders; SELECT '",
    "SELECT $$$$ ' $$$$; COMMIT; DELETE FROM orders; SELECT '",
    "SELECT ` ' ` , '; COMMIT; DELETE FROM orders; SELECT '",
)
"""What PostgreSQL reads as several statements, and what hid them from this check once."""


@pytest.mark.real
def test_postgresql(postgresql: None) -> None:
    numbers_of_both()
    with pytest.raises(ClientUnavailable, match="read-only transaction"):
        ask("WITH gone AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM gone")
    with pytest.raises(ClientRejected, match=r"UndefinedTable: relation .nowhere. does not exist"):
        ask("SELECT n FROM nowhere")
    with pytest.raises(ClientRejected, match="gives a bool; expected a number: CAST it"):
        ask("SELECT true")
    assert ask("SELECT count(*) WHERE current_setting('default_transaction_read_only') = 'on'").value == 1
    for query in LEAVING:
        with pytest.raises(ClientRejected, match="the query can't be asked"):
            ask(query)
    assert ask("""SELECT ('{"a": [7]}'::json #>> '{a,0}')::int""").value == 7
    assert ask("SELECT 'NaN'::float").nothing == "the query gave NaN"
    assert ask("SELECT 'Infinity'::float").value == float("inf")
    assert ask("SELECT count(*) FROM orders").value == 4


def test_a_database_that_is_away_and_one_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    away = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "password": "s3cret", "login": "reader"}
    for told, kind, said in [
        (away, ClientUnavailable, "database of connection 'orders' can't be reached: OperationalError"),
        ({"conn_type": "http", "host": "x"}, ClientRejected, "no provider here knows|is no database"),
        ({"conn_type": "oracle", "host": "x"}, ClientRejected, "no provider here knows .*'oracle'; install"),
    ]:
        monkeypatch.setenv("AIRFLOW_CONN_ORDERS", json.dumps(told))
        with pytest.raises(kind, match=said) as caught:
            ask("SELECT 1")
        assert "s3cret" not in str(caught.value)


def test_the_check_asks_the_database(sqlite: Path) -> None:
    from airflow.sdk import Connection

    assert checked("sql", Connection.get("orders")) == "The database answers queries."


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "must begin with SELECT"),
        ("   -- nothing", r"a comment \(--\) stands in it"),
        ("UPDATE x SET y = 1", "must begin with SELECT"),
        ("SELECT 'open", "a quote is not closed"),
        ('SELECT "open', "a quote is not closed"),
        ("SELECT 1 /* open", r"a comment \(/\*\) stands in it"),
        ("SELECT 1 /*! + 1 */", "a comment"),
        ("SELECT 1 --1; COMMIT; DELETE FROM orders", "a comment"),
        ("SELECT $a$ ' $a$; DELETE FROM orders; SELECT '", "dollar sign"),
        ("SELECT 1$$A$$ ' $$A$$; DELETE FROM orders; SELECT '", "dollar sign"),
        ("SELECT $version$$A$$ ' $$A$$; DELETE FROM orders; SELECT '", "dollar sign"),
        (r"SELECT 'a\' OR version = $version", "backslash"),
        ("SELECT `$version`", "stands in quotes"),
        ("SELECT 1;;SELECT 2", "more than one statement"),
        ("SELECT 1; SELECT 2 -- end", "more than one statement"),
    ],
)
def test_what_is_no_query(query: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parts(query)


@pytest.mark.parametrize(
    ("dialect", "query", "said"),
    [
        ("mysql", "SELECT 1 # '\n; DELETE FROM orders # '", r"a comment \(#\)"),
        ("postgresql", "SELECT ` ' ` , '; DELETE FROM orders; SELECT '", "a backtick"),
        ("mssql", "SELECT 1 AS [ ' ]; DELETE FROM orders; SELECT 1 AS [ ' ]", "square brackets"),
    ],
)
def test_what_a_dialect_reads_in_its_own_way(dialect: str, query: str, said: str) -> None:
    assert parts(query)
    with pytest.raises(ValueError, match=said):
        parts(query, dialect)
    assert parts("SELECT `n` FROM `orders`", "mysql")
    assert parts("SELECT serial# FROM v$$session", "oracle")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1 SELECT 2", "more than one statement"),
        ("SELECT 1\nDELETE FROM orders", "DELETE stands in it"),
        ("SELECT 1 exec xp_cmdshell 'dir'", "EXEC stands in it"),
        ("SELECT 1DELETE FROM orders", "a word follows a number"),
        ("SELECT 1eDELETE FROM orders", "a word follows a number"),
        ("SELECT .5DELETE FROM orders", "a word follows a number"),
        ("SELECT 0x1DROP TABLE orders", "a word follows a number"),
        ("SELECT 0xINSERT INTO orders SELECT 1", "a word follows a number"),
        ("SELECT $versionDELETE FROM orders", "DELETE stands in it"),
        ("SELECT 'a'DELETE FROM orders", "DELETE stands in it"),
        ("SELECT [a]DELETE FROM orders", "DELETE stands in it"),
        ("SELECT [a]]]DELETE FROM orders", "DELETE stands in it"),
        ("SELECT n FROM (SELECT 1 n) t UPDATE orders SET n = 1", "UPDATE stands in it"),
        ("WITH a AS (SELECT 1 n) DELETE FROM orders", "DELETE stands in it"),
        ("WITH a AS (SELECT 1 n) SELECT n FROM a SELECT 2", "more than one statement"),
        ("(SELECT 1) SELECT 2", "more than one statement"),
        ("SELECT n INTO copies FROM orders", "INTO stands in it"),
        ("SELECT (1 DELETE FROM orders", "a bracket is not closed"),
        ("SELECT 1) DELETE FROM orders", "closed that was not opened"),
        (
            "SELECT 1 AS [a]]'] FROM t /* ( */ DELETE FROM x /* ) */ WHERE [b]]'] = 1",
            "a quote stands in square brackets",
        ),
        ("SELECT n FROM OPENQUERY(there, 'DELETE FROM orders')", "OPENQUERY stands in it"),
    ],
)
@pytest.mark.parametrize("dialect", ["mssql", "odbc"])
def test_a_second_statement_is_refused_where_none_needs_a_semicolon(
    dialect: str, query: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        parts(query, dialect)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM orders WHERE version = $version AND seconds > 1.5e-3",
        "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3;",
        "WITH a AS (SELECT 1 n), b AS (SELECT n FROM a) SELECT max(n) FROM b",
        "SELECT CASE WHEN n > (SELECT avg(n) FROM orders) THEN 0x1f ELSE 2e3 END FROM t1 WITH (NOLOCK)",
        "SELECT [update], \"delete\", 'drop' FROM [dbo].[orders]",
        "SELECT n FROM orders ORDER BY 1 OFFSET 0 ROWS FETCH NEXT 1 ROWS ONLY",
        "SELECT updated, set_size, @@rowcount FROM orders2 OPTION (USE HINT ('FORCE_ORDER'))",
    ],
)
def test_one_statement_is_asked_where_none_needs_a_semicolon(query: str) -> None:
    assert parts(query, "mssql")


def test_a_percent_sign_is_one_and_a_dollar_sign_too() -> None:
    asked = VALUES._replace(query="SELECT 5 % 2, '$$', $version")
    with pytest.raises(ClientRejected, match=r"stands in quotes"):
        bound(asked._replace(query="SELECT '${version}'"), "%s")
    assert bound(asked._replace(query="SELECT 5 % $version"), "%s") == ("SELECT 5 %% %s", ("1.1.0",))
    assert bound(asked._replace(query="SELECT 5 % $version"), "?") == ("SELECT 5 % ?", ("1.1.0",))
    assert bound(asked._replace(query="SELECT 5 % 2"), "%s") == ("SELECT 5 % 2", ())
    assert bound(asked._replace(query="SELECT x$$y"), "%s") == ("SELECT x$y", ())


@given(st.text(st.sampled_from("'\"`-/*;$vs{}\\ \na%?A#"), max_size=25))
def test_values_never_get_into_the_text(tail: str) -> None:
    """Whatever stands around a value: it is bound, or the query is refused."""
    asked = VALUES._replace(query=f"SELECT {tail}", version="SECRET")
    try:
        statement, values = bound(asked, "?")
    except ClientRejected:
        return
    assert "SECRET" not in statement
    assert set(values) <= {"shop", "qa", "SECRET", "1.0.0", 37.25}
