"""Asking for the rollback of a release that has ended: who may, what is recorded, what is started."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from tests.plugin.airflow_server import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

BODY = {"reason": "checkout is slow"}


def path(record: Any) -> str:
    return f"/relman/api/v1/releases/{record.release_id}/rollback"


def requests(server: Server, record: Any) -> list[Any]:
    return list(server.ledger.events(record.release_id, kinds=[Kind.ROLLBACK_REQUESTED]))


def test_the_request_is_recorded_and_its_run_started(server: Server) -> None:
    record = server.shipped("7.0.0", "7.1.0")
    way = server.ask("GET", path(record), "vera").json()
    assert (way["environment"], way["from"]["version"], way["to"]["version"]) == (
        "production",
        "7.1.0",
        "7.0.0",
    )
    assert (way["on_record"], way["asked"]) == (False, None)
    body = BODY | {"digest": way["to"]["digest"]}
    answer = server.ask("POST", path(record), "bob", json=body, headers={"X-Relman-Via": "cli"})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    (event,) = requests(server, record)
    assert (event.actor.id, event.actor.via, event.data["reason"]) == ("bob", "cli", "checkout is slow")
    assert (event.environment, event.data["to"]["version"], said["recorded"]) == ("production", "7.0.0", True)
    run = server.ask("GET", f"/api/v2/dags/{said['dag_id']}/dagRuns/{said['run_id']}", "admin").json()
    assert run["conf"] == {"release": record.release_id, "request": event.key}
    assert run["triggering_user_name"] == "bob"
    assert (said["note"], said["url"].endswith(f"/dags/relman_rollback/runs/{said['run_id']}")) == ("", True)


def test_two_people_at_the_same_moment_start_one_rollback(server: Server) -> None:
    record = server.shipped("7.2.0", "7.3.0")
    with ThreadPoolExecutor(4) as pool:
        users = ("alice", "bob", "alice", "bob")
        answers = list(pool.map(lambda u: server.ask("POST", path(record), u, json=BODY), users))
    assert [a.status_code for a in answers] == [200] * 4
    assert sum(a.json()["recorded"] for a in answers) == 1
    assert len({a.json()["run_id"] for a in answers}) == 1
    assert len(requests(server, record)) == 1
    assert "had asked for it before" in next(a.json()["message"] for a in answers if not a.json()["recorded"])


@pytest.mark.parametrize(("user", "status"), [(None, 401), ("vera", 403), ("uma", 200)])
def test_who_may_not_change_the_release_may_not_roll_it_back(
    server: Server, user: str | None, status: int
) -> None:
    record = server.shipped("7.4.0", "7.5.0")
    assert server.ask("POST", path(record), user, json=BODY).status_code == status
    assert len(requests(server, record)) == (status == 200)


def test_a_page_of_somebody_else_can_not_ask_with_a_cookie(server: Server) -> None:
    record = server.shipped("7.6.0", "7.7.0")
    answer = server.ask(
        "POST", path(record), "bob", cookie=True, json=BODY, headers={"Origin": "https://evil.example"}
    )
    assert (answer.status_code, requests(server, record)) == (403, [])


def test_what_can_not_be_done_is_said_at_once_and_nothing_is_recorded(server: Server) -> None:
    open_one = server.release("7.8.0")
    shipped = server.shipped("7.8.0", "7.9.0")
    for record, body, said in (
        (open_one, BODY, "relman abort"),
        (shipped, BODY | {"environment": "moon"}, "did not change 'moon'"),
        (shipped, BODY | {"digest": "sha256:other"}, "look again"),
    ):
        answer = server.ask("POST", path(record), "bob", json=body)
        assert (answer.status_code, said in answer.json()["detail"]) == (409, True), answer.text
        assert requests(server, record) == []
    for body in ({}, {"reason": " "}):
        assert server.ask("POST", path(shipped), "bob", json=body).status_code == 422
    assert server.ask("GET", path(open_one), "vera").status_code == 409
    server.shipped("7.9.0", "8.0.0")
    assert "changed production after" in server.ask("POST", path(shipped), "bob", json=BODY).json()["detail"]
