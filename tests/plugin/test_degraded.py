"""The same server when its settings are unsafe or its ledger is gone: closed, and it says why."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.plugin.airflow_server import GATE, Server
from tests.plugin.test_api import approval
from tests.plugin.test_native import APPROVE, gate_path
from tests.plugin.test_slack import Asked

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

API = "/relman/api/v1"


@pytest.fixture(scope="module")
def all_admins(server: Server) -> Iterator[Server]:
    slack = {"AIRFLOW_CONN_RELMAN_SLACK": server.env["AIRFLOW_CONN_RELMAN_SLACK"]}
    other = Server(server.home, {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True", **slack})
    other.start()
    yield other
    other.stop()


@pytest.fixture(scope="module")
def no_ledger(server: Server) -> Iterator[Server]:
    slack = {"AIRFLOW_CONN_RELMAN_SLACK": server.env["AIRFLOW_CONN_RELMAN_SLACK"]}
    other = Server(server.home, {"AIRFLOW__RELMAN__LEDGER_CONN_ID": "there_is_no_such_connection", **slack})
    other.start()
    yield other
    other.stop()


@pytest.fixture(scope="module")
def no_secret(server: Server) -> Iterator[Server]:
    slack = {"conn_type": "slack", "password": "xoxb-x", "extra": '{"signing_secret": " "}'}
    # One server more for both: without a way to sign either.
    no_key = {"AIRFLOW__RELMAN__SIGNING_CONN_ID": "no_such_key"}
    other = Server(server.home, {"AIRFLOW_CONN_RELMAN_SLACK": json.dumps(slack), **no_key})
    other.start()
    yield other
    other.stop()


def test_when_everybody_is_the_same_admin_nobody_votes(server: Server, all_admins: Server) -> None:
    record = server.release("2.0.0")
    vote = f"{API}/releases/{record.release_id}/gates/{GATE}/votes"
    answer = all_admins.ask("POST", vote, json=approval(server, record))
    assert (answer.status_code, "all_admins" in answer.json()["detail"]) == (403, True)
    assert all_admins.ask("PATCH", gate_path(record), json=APPROVE).status_code == 403
    assert all_admins.ask("GET", f"{API}/health").json()["all_admins"] is True
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()
    assert server.native_answer(record.dag_id, record.run_id, GATE) is None


def test_when_everybody_is_the_same_admin_nobody_steers_a_train(server: Server, all_admins: Server) -> None:
    before = server.ledger.trains.latest("checkout")
    for action in ("hold", "add"):
        body = {"reason": "because", "version": "9.9.9"}
        answer = all_admins.ask("POST", f"{API}/trains/checkout/{action}", json=body)
        assert (answer.status_code, "all_admins" in answer.json()["detail"]) == (403, True)
    assert server.ledger.trains.latest("checkout") == before


def test_the_token_that_the_server_adds_is_no_proof_of_intent(server: Server, all_admins: Server) -> None:
    record = server.release("2.0.1")
    abort = f"{API}/releases/{record.release_id}/abort"
    foreign = {"Origin": "http://127.0.0.1:9099"}
    body = {"reason": "forged"}
    assert all_admins.ask("POST", abort, json=body, headers=foreign).status_code == 403
    assert all_admins.ask("POST", abort, json=body, headers={"Origin": all_admins.url}).status_code == 200


def test_without_the_ledger_no_answer_is_taken_or_forwarded(server: Server, no_ledger: Server) -> None:
    record = server.release("2.0.2")
    answer = no_ledger.ask("PATCH", gate_path(record), "alice", json=APPROVE)
    assert (answer.status_code, "there_is_no_such_connection" in answer.json()["detail"]) == (503, True)
    assert server.native_answer(record.dag_id, record.run_id, GATE) is None
    assert no_ledger.ask("GET", f"{API}/releases", "vera").status_code == 503
    health = no_ledger.ask("GET", f"{API}/health", "vera").json()
    assert (health["ledger"]["ok"], health["outbox"]["pending"]) == (False, None)


def test_without_the_ledger_other_required_actions_go_on(server: Server, no_ledger: Server) -> None:
    run_id = server.trigger("other")
    server.ask_people("other", run_id, "ask")
    path = f"/api/v2/dags/other/dagRuns/{run_id}/taskInstances/ask/-1/hitlDetails"
    assert no_ledger.ask("PATCH", path, "uma", json=APPROVE).status_code == 200


def test_from_slack_nobody_votes_or_stops_the_line(
    server: Server, all_admins: Server, no_ledger: Server
) -> None:
    asked = Asked(server, "2.0.3")
    people = asked.slack.interactive
    freeze = people.typing("U01ALICE", "freeze --reason incident", "C0ANYWHERE")
    for where, why in ((all_admins, "all_admins is on"), (no_ledger, "Nothing was done: the ledger")):
        assert why in people.deliver(freeze, f"{where.url}/relman/slack/commands").body
    assert server.ledger.freezes.on() == []
    before = people.url
    try:
        people.url = f"{all_admins.url}/relman/slack/interactivity"
        assert asked.press("U01ALICE") == (200, "")
        asked.told("U01ALICE", "all_admins is on")
        people.url = f"{no_ledger.url}/relman/slack/interactivity"
        assert asked.press("U01ALICE") == (200, "")
        asked.told("U01ALICE", "Nothing was recorded")
    finally:
        people.url = before
    assert asked.gate.votes == ()
    assert asked.refusals() == [("alice", "not_authorised", "slack")]


def test_without_a_signing_secret_there_is_no_way_from_slack(server: Server, no_secret: Server) -> None:
    asked = Asked(server, "2.0.4")
    request = asked.request("U01ALICE")
    answer = no_secret.ask(
        "POST", "/relman/slack/interactivity", content=request.body, headers=request.headers
    )
    assert (answer.status_code, "signing_secret" in answer.json()["detail"]) == (404, True)
    assert no_secret.ask("GET", f"{API}/health", "vera").json()["slack"]["votes"] is False
    assert asked.gate.votes == ()
