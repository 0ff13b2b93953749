"""The ledger's address comes from configuration and connection, and from nowhere else."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy import make_url

from relman_plugins.errors import LedgerUnavailable, unread
from relman_plugins.hooks.ledger import ledger_url


def test_without_a_connection_the_ledger_is_embedded(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(tmp_path))
    assert ledger_url() == f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.mark.parametrize("host", ["db.example", "/run/postgresql"])
def test_a_connection_gives_every_field(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    connection = {
        "conn_type": "postgres",
        "host": host,
        "port": 5433,
        "login": "relman",
        "password": "p@ss/word",
        "schema": "ledger",
        "extra": json.dumps({"sslmode": "require"}),
    }
    monkeypatch.setenv("AIRFLOW__RELMAN__LEDGER_CONN_ID", "the_ledger")
    monkeypatch.setenv("AIRFLOW_CONN_THE_LEDGER", json.dumps(connection))
    url = make_url(ledger_url())
    assert (url.username, url.password, url.port, url.database) == ("relman", "p@ss/word", 5433, "ledger")
    assert (url.host or url.query["host"]) == host
    assert url.query["sslmode"] == "require"


def test_a_missing_connection_is_no_ledger_and_not_the_embedded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__LEDGER_CONN_ID", "not_there")
    with pytest.raises(LedgerUnavailable, match="not_there"):
        ledger_url()


def test_what_a_parser_or_a_driver_says_of_a_connection_is_not_repeated() -> None:
    quoting = ValueError("Port could not be cast to integer value as 'hunter2'")
    assert unread(quoting) == "ValueError; the log says more"
    assert (
        unread(AirflowNotFoundException("The conn_id `x` isn't defined")) == "The conn_id `x` isn't defined"
    )
