"""Answers on Airflow's own page, in a real Airflow API server."""

from __future__ import annotations

import sqlite3
from typing import Any
from urllib.parse import quote

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.plugin.native import SHOWN
from tests.plugin.airflow_server import GATE, PEOPLE, Server, subject

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

APPROVE = {"chosen_options": ["Approve"], "params_input": {"comment": "seen in Airflow"}}


def path_of(dag_id: str, run_id: str, task_id: str, index: str = "-1") -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/{index}/hitlDetails"


def gate_path(record: Any) -> str:
    return path_of(record.dag_id, quote(record.run_id, safe=""), GATE)


@pytest.mark.parametrize("cookie", [False, True])
def test_an_answer_is_a_vote_and_airflow_never_sees_it(server: Server, cookie: bool) -> None:
    record = server.release("1.0.0")
    answer = server.ask("PATCH", gate_path(record), "alice", cookie=cookie, json=APPROVE)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["responded_by"], said["chosen_options"]) == ({"id": "alice", "name": "alice"}, ["Approve"])
    assert said["responded_at"]
    gate = server.ledger.votes.gate(record.release_id, GATE)
    assert (gate.state, gate.decided_by) == ("approved", "alice")
    assert [(v.via, v.comment) for v in gate.votes] == [("airflow", "seen in Airflow")]
    assert server.native_answer(record.dag_id, record.run_id, GATE) is None


def test_an_approval_of_an_old_text_is_refused_and_says_where_to_look(server: Server) -> None:
    record = server.release("1.1.5")
    again = server.ledger.votes.open_gate(
        record.release_id,
        GATE,
        subject=subject(record) | {"changes": "something else"},
        people=PEOPLE,
        quorum=1,
        timeout_s=600,
        on_timeout="reject",
    )
    refused = server.ask("PATCH", gate_path(record), "alice", cookie=True, json=APPROVE)
    said = refused.json()["detail"]
    assert (refused.status_code, "look again" in said) == (409, True)
    assert f"relman approve {record.release_id} --gate {GATE}" in said
    assert f"/relman/gates/{record.release_id}/{GATE}" in said
    vote = {"decision": "approve", "digest": again.subject_digest}
    votes = f"/relman/api/v1/releases/{record.release_id}/gates/{GATE}/votes"
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()
    assert server.ask("POST", votes, "alice", json=vote).status_code == 201
    other = server.release("1.1.6")
    server.ledger.votes.open_gate(
        other.release_id,
        GATE,
        subject=subject(other) | {"changes": "something else"},
        people=PEOPLE,
        quorum=1,
        timeout_s=600,
        on_timeout="reject",
    )
    no = {"chosen_options": ["Reject"]}
    assert server.ask("PATCH", gate_path(other), "bob", cookie=True, json=no).status_code == 200


def test_who_answers_before_airflow_has_the_text_of_a_gate_that_opened_is_heard(server: Server) -> None:
    record = server.release("1.1.6")
    with sqlite3.connect(server.home / "airflow.db", timeout=30) as db:
        db.execute(
            "DELETE FROM hitl_detail WHERE ti_id IN (SELECT id FROM task_instance WHERE run_id = ?)",
            (record.run_id,),
        )
    answer = server.ask("PATCH", gate_path(record), "alice", cookie=False, json=APPROVE)
    assert answer.status_code == 200, answer.text
    assert server.ledger.votes.gate(record.release_id, GATE).state == "approved"


def test_a_checklists_fields_are_its_answers(server: Server) -> None:
    record = server.release("1.0.9", items={"cart": "The cart shows the discount", "pay": "Paid"})

    def answer(**fields: Any) -> Any:
        body = {"chosen_options": ["Approve"], "params_input": fields}
        return server.ask("PATCH", gate_path(record), "bob", cookie=True, json=body)

    early = answer(cart="passed", pay="not tested", comment="")
    assert (early.status_code, "not tested yet: Paid (pay)" in early.json()["detail"]) == (409, True)
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()
    assert answer(cart="passed", pay={"value": "passed"}, comment="").status_code == 200
    gate = server.ledger.votes.gate(record.release_id, GATE)
    assert (gate.state, gate.answers) == ("approved", {"cart": "passed", "pay": "passed"})


def test_follow_ups_are_recorded_once_and_only_from_those_asked(server: Server) -> None:
    record = server.release("1.0.10")
    path = path_of(record.dag_id, quote(record.run_id, safe=""), "follow_up")

    def answer(user: str, option: str = "Record follow-ups", **fields: Any) -> Any:
        body = {"chosen_options": [option], "params_input": fields}
        return server.ask("PATCH", path, user, cookie=True, json=body)

    assert answer("bob", what_1="an alert").status_code == 404
    for kind, data in (
        (Kind.RELEASE_CLOSED, {"outcome": "failed", "reason": ""}),
        (Kind.FOLLOW_UP_ASKED, {"people": [p.model_dump() for p in PEOPLE], "until": "2099-01-01T00:00Z"}),
    ):
        key = f"{record.release_id}:{kind.value}"
        server.ledger.record(record.release_id, NewEvent(kind=kind, key=key, step="follow_up", data=data))
    assert answer("uma", what_1="an alert").status_code == 403
    unfit = answer("bob", who_1="Bob")
    assert (unfit.status_code, unfit.json()["detail"]) == (
        409, "row 1 says who or until when, but not what; add it or empty the row",
    )  # fmt: skip
    given = answer("bob", what_1="an alert", who_1=None, by_1="2026-03-09")
    assert given.status_code == 200, given.text
    assert answer("alice", "No follow-ups").status_code == 409
    status = server.ask("GET", f"/relman/api/v1/releases/{record.release_id}", "vera").json()["status"]
    assert status["follow_ups"]["items"] == [{"what": "an alert", "who": "", "by": "2026-03-09"}]
    assert (status["follow_ups"]["answered_by"], status["outcome"]) == ("Bob Example", "failed")


def test_a_refused_person_gets_403_and_the_gate_goes_on(server: Server) -> None:
    record = server.release("1.0.1")
    for user in ("uma", "vera", "admin"):
        refused = server.ask("PATCH", gate_path(record), user, cookie=True, json=APPROVE)
        assert refused.status_code == 403, user
        assert refused.json()["detail"]
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()
    assert server.native_answer(record.dag_id, record.run_id, GATE) is None
    rejected = {"chosen_options": ["Reject"]}
    assert server.ask("PATCH", gate_path(record), "bob", cookie=True, json=rejected).status_code == 200
    assert server.ledger.votes.gate(record.release_id, GATE).state == "rejected"
    late = server.ask("PATCH", gate_path(record), "alice", json=APPROVE)
    assert (late.status_code, "rejected by bob" in late.json()["detail"]) == (409, True)


def test_a_page_gets_the_reason_under_a_status_that_it_shows(server: Server) -> None:
    record = server.release("1.0.10")
    here = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    refused = server.ask("PATCH", gate_path(record), "admin", cookie=True, json=APPROVE, headers=here)
    assert (refused.status_code, "admin may not answer" in refused.json()["detail"]) == (SHOWN, True)
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()


def test_without_a_login_nothing_is_answered(server: Server) -> None:
    record = server.release("1.0.2")
    assert server.ask("PATCH", gate_path(record), json=APPROVE).status_code == 401
    forged = server.ask("PATCH", gate_path(record), json=APPROVE, headers={"Cookie": "_token=forged"})
    assert forged.status_code in {401, 403}
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()


def test_another_page_cannot_answer_with_the_cookie(server: Server) -> None:
    record = server.release("1.0.3")
    headers = {"Origin": "http://127.0.0.1:9099", "Sec-Fetch-Site": "same-site"}
    forged = server.ask("PATCH", gate_path(record), "alice", cookie=True, json=APPROVE, headers=headers)
    assert forged.status_code == 403
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()


@pytest.mark.parametrize("index", ["-1", "-01", "%20-1", "0"])
def test_no_spelling_of_the_path_goes_around(server: Server, index: str) -> None:
    record = server.release("1.0.4")
    path = path_of(record.dag_id, record.run_id, GATE.replace(".", "%2E"), index)
    server.ask("PATCH", path, "uma", json=APPROVE)
    server.ask("PATCH", path + "%0A", "uma", json=APPROVE)
    server.ask("PATCH", path + "/", "uma", json=APPROVE)
    assert server.native_answer(record.dag_id, record.run_id, GATE) is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"chosen_options": ["Maybe"]}', 400),
        (b'{"chosen_options": ["Approve", "Reject"]}', 400),
        (b'{"chosen_options": []}', 400),
        (b'{"chosen_options": "Approve"}', 422),
        (b"not json", 422),
        (b"[" * 100_000, 422),
        (b'"' + b"x" * 300_000 + b'"', 413),
    ],
)
def test_a_malformed_answer_is_no_vote(server: Server, body: bytes, status: int) -> None:
    record = server.release("1.0.5")
    headers = {"Content-Type": "application/json"}
    answer = server.ask("PATCH", gate_path(record), "alice", content=body, headers=headers)
    assert (answer.status_code, server.ledger.votes.gate(record.release_id, GATE).votes) == (status, ())


def test_another_dags_required_action_passes_untouched(server: Server) -> None:
    run_id = server.trigger("other")
    server.ask_people("other", run_id, "ask")
    answer = server.ask("PATCH", path_of("other", run_id, "ask"), "uma", cookie=True, json=APPROVE)
    assert (answer.status_code, answer.json()["params_input"]) == (200, APPROVE["params_input"])
    assert server.native_answer("other", run_id, "ask") == {"id": "uma", "name": "uma"}


def test_a_required_action_of_a_run_without_release_passes_untouched(server: Server) -> None:
    run_id = server.trigger("release__checkout", version="1.0.6")
    server.ask_people("release__checkout", run_id, GATE)
    answer = server.ask("PATCH", path_of("release__checkout", run_id, GATE), "uma", json=APPROVE)
    assert answer.status_code == 200
    assert server.native_answer("release__checkout", run_id, GATE) == {"id": "uma", "name": "uma"}


def test_a_task_that_is_no_gate_passes_untouched(server: Server) -> None:
    record = server.release("1.0.7")
    server.ask_people(record.dag_id, record.run_id, "production.deploy")
    path = path_of(record.dag_id, record.run_id, "production.deploy")
    assert server.ask("PATCH", path, "uma", json=APPROVE).status_code == 200
    assert server.native_answer(record.dag_id, record.run_id, "production.deploy") is not None


def test_reading_the_required_action_is_airflows_business(server: Server) -> None:
    record = server.release("1.0.8")
    answer = server.ask("GET", gate_path(record), "vera")
    assert (answer.status_code, answer.json()["subject"]) == (200, "Approve?")
