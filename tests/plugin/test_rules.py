"""Gates with rules in a real Airflow API server: its page and relman's API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.event import Kind
from relman_plugins.domain.field import Field
from relman_plugins.domain.identity import Person
from tests.plugin.airflow_server import GATE, PEOPLE, Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

CHANGE = Field(name="change", description="Its number", pattern="CHG[0-9]{7}")
MANAGERS = Rule(id="managers", group="managers", people=("alice", "carol", "vera"))
BOARD = Rule(id="board", group="board", people=("alice", "bob"), comment="required", fields=(CHANGE,))
CAROL = Person(id="carol", airflow="carol", name="Carol Example")


def waits(server: Server, version: str, **other: Any) -> Any:
    """Return a release that Carol has started and that waits at a gate with two rules."""
    gate = {"people": (*PEOPLE, CAROL), "rules": (MANAGERS, BOARD), "own": {"carol": "started it"}}
    return server.release(version, 2, **(gate | other))


def answer(server: Server, record: Any, user: str, way: str, option: str = "Approve", **form: Any) -> Any:
    """Answer on Airflow's page, or through relman's API."""
    if way == "page":
        run = f"/api/v2/dags/{record.dag_id}/dagRuns/{quote(record.run_id, safe='')}"
        path = f"{run}/taskInstances/{GATE}/-1/hitlDetails"
        return server.ask("PATCH", path, user, json={"chosen_options": [option], "params_input": form})
    gate = server.ledger.votes.gate(record.release_id, GATE)
    body = {
        "decision": option.lower(),
        "digest": gate.subject_digest,
        "comment": form.pop("comment", ""),
        "answers": form,
    }
    return server.ask("POST", votes_path(record), user, json=body)


def votes_path(record: Any) -> str:
    return f"/relman/api/v1/releases/{record.release_id}/gates/{GATE}/votes"


@pytest.mark.parametrize("way", ["page", "api"])
def test_rules_are_the_same_whichever_way_the_answer_comes(server: Server, way: str) -> None:
    record = waits(server, f"5.0.{len(way)}")
    own = answer(server, record, "carol", way)
    assert own.status_code == 403, own.text
    assert "carol started it, and nobody approves their own release" in own.json()["detail"]
    bare = answer(server, record, "bob", way)
    assert bare.status_code == 409
    assert "for board: a comment, Change (change)" in bare.json()["detail"]
    wrong = answer(server, record, "bob", way, comment="seen", change="42")
    assert "matches CHG[0-9]{7}, got '42'" in wrong.json()["detail"]
    assert answer(server, record, "alice", way, comment="seen", change="CHG0000001").status_code < 300
    gate = server.ask("GET", votes_path(record), "alice").json()
    assert (gate["missing"], gate["counts"], gate["lacking"][0]["people"]) == (
        1,
        {"alice": "managers"},
        ["bob", "vera"],
    )
    assert answer(server, record, "bob", way, comment="seen", change="CHG0000002").status_code < 300
    state = server.ledger.votes.gate(record.release_id, GATE)
    assert (state.state, sorted(state.counts)) == ("approved", ["alice", "bob"])
    refused = server.ledger.events(record.release_id, kinds=[Kind.VOTE_REFUSED])
    assert [(e.data["person"], e.data["code"]) for e in refused] == [
        ("carol", "own_release"),
        ("bob", "unfit_answers"),
    ]


@pytest.mark.parametrize("way", ["page", "api"])
def test_who_has_no_right_in_airflow_is_refused_though_the_plan_names_them(server: Server, way: str) -> None:
    record = waits(server, f"5.1.{len(way)}")
    said = answer(server, record, "vera", way)
    assert said.status_code == 403, said.text
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()


def test_a_vote_is_withdrawn_by_whoever_cast_it(server: Server) -> None:
    record = waits(server, "5.2.0")
    path = votes_path(record)
    assert server.ask("DELETE", path, "alice", json={}).status_code == 409
    assert answer(server, record, "alice", "api", comment="seen", change="CHG0000001").status_code == 201
    assert server.ask("DELETE", path, "bob", json={}).status_code == 409
    assert server.ask("DELETE", path, "uma", json={}).status_code == 403
    assert server.ask("DELETE", path, json={}).status_code == 401
    gone = server.ask("DELETE", path, "alice", json={"comment": "wait"})
    assert (gone.status_code, gone.json()["missing"], gone.json()["gate"]["votes"]) == (200, 2, [])
    assert answer(server, record, "alice", "page", comment="now", change="CHG0000001").status_code == 200
