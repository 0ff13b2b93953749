"""Whether ticket systems answer is said of those that releases ask, and not asked of them all the time."""

from __future__ import annotations

import json

import pytest

from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import Ledger
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Options, ReleasePlan
from relman_plugins.plugin import ticket_health
from relman_plugins.testing.servicenow import PASSWORD, USER, ServiceNowServer
from tests.plan.make import documents, environment, pipeline


def opened(tmp_path_factory: pytest.TempPathFactory, connection: str) -> Ledger:
    """Return a ledger with one release that asks for a ticket."""
    gate = {"change_ticket": {"system": "servicenow", "connection": connection}}
    spec = pipeline([{"environment": "a", "gates": [gate]}])
    plan = ReleasePlan(
        shape=compile_shape(documents(spec, [environment("a")])),
        options=Options(version="1", ticket="CHG0000001"),
    )
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")
    ledger.migrate()
    ledger.open_release(plan=plan, dag_id="d", run_id="r", started_by=Actor(), conf={})
    return ledger


def test_each_system_is_asked_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ServiceNowServer() as snow:
        good = {"conn_type": "relman_servicenow", "host": snow.url, "login": USER, "password": PASSWORD}
        monkeypatch.setenv("AIRFLOW_CONN_SNOW_UP", json.dumps(good))
        monkeypatch.setenv("AIRFLOW_CONN_SNOW_LOCKED", json.dumps({**good, "password": "a-wrong-one"}))
        for connection, ok, said in (
            ("snow_up", True, "answers"),
            ("snow_locked", False, "answered 401: it does not take the connection's login"),
            ("snow_nowhere", False, "cannot read connection 'snow_nowhere' of ServiceNow"),
        ):
            ledger = opened(tmp_path_factory, connection)
            (found,) = ticket_health.ticket_systems(ledger)
            assert (found["system"], found["connection"], found["ok"]) == ("ServiceNow", connection, ok)
            assert said in found["message"]
            assert "a-wrong-one" not in found["message"]
            asked = len(snow.asked)
            assert ticket_health.ticket_systems(ledger) == [found]
            assert len(snow.asked) == asked
            ledger.close()
