"""What was done about a rejected emergency, told through relman's API and command in a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from tests.cli.command import as_user, relman
from tests.plugin.airflow_server import Server
from tests.plugin.glass import DEBT, rejected

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def path(record: Any) -> str:
    return f"/relman/api/v1/releases/{record.release_id}/gates/{DEBT}/settlement"


def owed(server: Server, user: str = "alice") -> list[str]:
    gates = server.ask("GET", "/relman/api/v1/gates?debts=true", user).json()["gates"]
    return [g["release_id"] for g in gates]


def test_a_reviewer_settles_it_and_it_is_listed_no_more(server: Server) -> None:
    record = rejected(server, "8.0.0")
    assert record.release_id in owed(server)
    body = {"reason": "the alert that was missing is there"}
    for user, status, why in (
        (None, 401, ""),
        ("vera", 403, "may not change releases"),
        ("admin", 403, "nobody settles their own emergency"),
        ("uma", 403, "uma may not settle"),
    ):
        refused = server.ask("POST", path(record), user, json=body)
        assert (refused.status_code, why in refused.text) == (status, True), refused.text
    assert server.ask("POST", path(record), "bob", json={"reason": " "}).status_code == 422
    answer = server.ask("POST", path(record), "bob", json=body)
    assert answer.status_code == 201, answer.text
    settled = answer.json()["gate"]["settled"]
    assert (settled["by"], settled["reason"]) == ("bob", body["reason"])
    assert record.release_id not in owed(server)
    again = server.ask("POST", path(record), "alice", json=body)
    assert (again.status_code, "was settled by bob" in again.json()["detail"]) == (409, True)


def test_a_page_of_somebody_else_can_not_settle_with_a_cookie(server: Server) -> None:
    record = rejected(server, "8.1.0")
    headers = {"Origin": "http://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    answer = server.ask("POST", path(record), "bob", cookie=True, headers=headers, json={"reason": "x"})
    assert answer.status_code == 403
    assert record.release_id in owed(server)


def test_the_command_finds_what_is_to_be_settled_and_says_so(server: Server) -> None:
    record = rejected(server, "8.2.0")
    me = as_user(server, "alice")
    said = relman("status", "--debts", **me | {"COLUMNS": "200"}).stdout
    assert "rejected by bob: no need" in said
    done = relman("settle", record.release_id, "--reason", "it was explained to everybody", **me)
    assert (done.returncode, f"{record.release_id} {DEBT}: recorded" in done.stdout) == (0, True), done.stderr
    (event,) = server.ledger.events(record.release_id, kinds=[Kind.GATE_SETTLED])
    assert (event.actor.id, event.actor.via) == ("alice", "cli")
    done = relman("settle", record.release_id, "--reason", "again", **me)
    assert (done.returncode, "nothing is to be settled" in done.stderr) == (1, True)
    done = relman("settle", record.release_id, "--reason", " ", **me)
    assert (done.returncode, "say what was done" in done.stderr) == (2, True)
    shown = relman("ledger", "show", record.release_id, **me).stdout
    assert "it was explained to everybody" in shown
