"""Who may not see a release in Airflow learns nothing of it here, not even that there is one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import Ledger
from relman_plugins.plan.model import Options, ReleasePlan
from tests.plugin.airflow_server import GATE, ROLES, SHAPE, Server
from tests.plugin.auth import BLIND, DEAF, STARTER
from tests.plugin.test_api import API, ROUTES, address

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

BODY = {"decision": "approve", "reason": "because", "token": 1}
_OF_BODY = {"votes": ("decision",), "break": ("reason", "token")}


@pytest.fixture(scope="module")
def teams(server: Server) -> Iterator[Server]:
    # Bob has had his rights taken away since he signed in to the first server.
    roles = ROLES | {"bob": "viewer"}
    extra = {"AIRFLOW__CORE__AUTH_MANAGER": "tests.plugin.auth.TeamAuthManager"}
    other = Server(server.home, extra, roles)
    other.start()
    yield other
    other.stop()


def body_for(method: str, path: str) -> dict[str, object] | None:
    if method == "GET":
        return None
    if method == "DELETE":
        return {"comment": "never mind"}
    return {key: BODY[key] for key in _OF_BODY.get(path.rpartition("/")[2], ("reason",))}


def test_no_route_tells_of_what_is_not_to_be_seen(server: Server, teams: Server) -> None:
    record = server.release("9.0.0")
    lock = server.ledger.locks.acquire("production", "checkout", record.release_id, 600)
    try:
        for method, path in ROUTES:
            wanted = address(path, record.release_id)
            absent = address(path, "checkout-9.9.9-9").replace("production/checkout", "nowhere/checkout")
            body = body_for(method, path)
            seen, none = (teams.ask(method, url, BLIND, json=body) for url in (wanted, absent))
            assert record.release_id not in seen.text.replace(f"'{record.release_id}'", ""), path
            assert seen.status_code == none.status_code, path
            assert (seen.status_code == 404) is any(
                part in path for part in ("{id}", "/break", "/trains/")
            ), path
        # The same questions of somebody who may see it: the test asks the right ones.
        assert teams.ask("GET", f"{API}/releases/{record.release_id}", "vera").status_code == 200
        refused = teams.ask("POST", f"{API}/releases/{record.release_id}/hold", "vera", json={"reason": "x"})
        assert (refused.status_code, "may not change" in refused.json()["detail"]) == (403, True)
        assert server.ledger.locks.held(record.release_id) == [lock]
    finally:
        server.ledger.locks.release("production", "checkout", record.release_id)


def test_where_an_archived_release_went_is_told_to_those_who_might_see_it(
    server: Server, teams: Server, tmp_path: Path
) -> None:
    assert server.ledger.release("attic-0.1.0-1") is None
    long_ago = datetime.now(UTC) - timedelta(days=100)
    file = server.home / "relman" / "ledger.db"
    past = Ledger(f"sqlite:///{file}", clock=lambda: long_ago)
    for version in ("0.1.0", "0.2.0"):
        plan = ReleasePlan(
            shape=SHAPE.model_copy(update={"pipeline": "attic"}), options=Options(version=version)
        )
        record = past.open_release(
            plan=plan, dag_id="release__checkout", run_id=version, started_by=Actor(), conf={}
        )
        end = NewEvent(kind=Kind.RELEASE_CLOSED, key="end", data={"outcome": "aborted"})
        past.record(record.release_id, end)
    # Nothing sends messages here.
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE outbox SET state = 'sent' WHERE release_id LIKE 'attic-%'")
    (done,) = past.archive(tmp_path, datetime.now(UTC) - timedelta(days=90), Actor())
    path = f"{API}/releases/attic-0.1.0-1"
    told = teams.ask("GET", path, "vera")
    assert (told.status_code, done.file in told.json()["detail"]) == (404, True)
    hidden, absent = (teams.ask("GET", f"{API}/releases/attic-{v}-1", BLIND) for v in ("0.1.0", "9.9.9"))
    assert hidden.json()["detail"] == absent.json()["detail"].replace("9.9.9", "0.1.0")


def test_releases_of_others_do_not_hide_ones_own(server: Server, teams: Server) -> None:
    shape = SHAPE.model_copy(update={"pipeline": "lab"})
    mine = server.ledger.open_release(
        plan=ReleasePlan(shape=shape, options=Options(version="9.1.0")),
        dag_id="release__lab",
        run_id="lab-1",
        started_by=Actor(kind="person", id="uma", via="airflow"),
        conf={},
    )
    server.release("9.0.2")
    for query in ("limit=1", "limit=1&active=true", "pipeline=lab&run_id=lab-1"):
        (seen,) = teams.ask("GET", f"{API}/releases?{query}", BLIND).json()["releases"]
        assert seen["release_id"] == mine.release_id
    for query in ("pipeline=checkout", "pipeline=checkout&run_id=x", "active=false&pipeline=nowhere"):
        assert teams.ask("GET", f"{API}/releases?{query}", BLIND).json() == {"releases": []}


def test_a_gate_of_another_team_takes_no_answer(server: Server, teams: Server) -> None:
    record = server.release("9.0.1")
    path = f"/api/v2/dags/{record.dag_id}/dagRuns/{record.run_id}/taskInstances/{GATE}/-1/hitlDetails"
    answer = teams.ask("PATCH", path, BLIND, json={"chosen_options": ["Approve"], "params_input": {}})
    assert answer.status_code == 403
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()


def test_what_people_said_is_for_those_who_may_read_required_actions(server: Server, teams: Server) -> None:
    record = server.release("9.4.0", 2)
    path = f"{API}/releases/{record.release_id}"
    digest = server.ledger.votes.gate(record.release_id, GATE).subject_digest
    body = {"decision": "approve", "digest": digest, "comment": "between us"}
    assert server.ask("POST", f"{path}/gates/{GATE}/votes", "alice", json=body).status_code == 201
    for part in ("", "/events", f"/gates/{GATE}/votes", "/report", "/evidence", "/plan"):
        seen = teams.ask("GET", path + part, DEAF)
        assert seen.status_code == {"/report": 403, "/evidence": 403}.get(
            part, 404 if "votes" in part else 200
        )
        assert "between us" not in seen.text
    assert "may not read Required Actions" in teams.ask("GET", f"{path}/report", DEAF).json()["detail"]
    assert [e["kind"] for e in teams.ask("GET", f"{path}/events", DEAF).json()["events"]] == [
        "release.opened"
    ]
    assert "between us" in teams.ask("GET", path, "vera").text
    assert "between us" in teams.ask("GET", f"{path}/events", "vera").text


@pytest.mark.parametrize("way", ["page", "api"])
def test_who_has_lost_the_right_is_refused_though_the_token_has_it(
    server: Server, teams: Server, way: str
) -> None:
    record = server.release(f"9.3.{len(way)}", 2)
    run = f"/api/v2/dags/{record.dag_id}/dagRuns/{quote(record.run_id, safe='')}"
    old = {"headers": {"Authorization": f"Bearer {server.token('bob')}"}}
    votes = f"{API}/releases/{record.release_id}/gates/{GATE}/votes"
    digest = server.ledger.votes.gate(record.release_id, GATE).subject_digest
    approve = {"decision": "approve", "digest": digest}
    if way == "page":
        page = {"chosen_options": ["Approve"], "params_input": {}}
        said = teams.ask("PATCH", f"{run}/taskInstances/{GATE}/-1/hitlDetails", json=page, **old)
    else:
        said = teams.ask("POST", votes, json=approve, **old)
    reason = "bob may not change releases of release__checkout in Airflow"
    assert (said.status_code, said.json()) == (403, {"detail": reason})
    [refused] = server.ledger.events(record.release_id, kinds=[Kind.VOTE_REFUSED])
    assert (refused.data["person"], refused.data["code"]) == ("bob", "not_authorised")
    assert server.ask("POST", votes, "bob", json=approve).status_code == 201
    kept = teams.ask("DELETE", votes, json={"comment": ""}, **old)
    assert (kept.status_code, kept.json()) == (403, {"detail": reason})
    assert [v.person for v in server.ledger.votes.gate(record.release_id, GATE).votes] == ["bob"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/releases/%00", 422),
        ("/releases/a%1B%5B2J", 422),
        ("/releases?pipeline=%00", 422),
        ("/gates?release=%0Ax", 422),
        (f"/releases/checkout-1-1/gates/%E2%80%AE{GATE}/votes", 422),
        ("/releases/checkout-1-1/events?after=99999999999999999999", 422),
        ("/releases/checkout-1-1/events?since=yesterday", 422),
        ("/releases/..%2F..%2Fhealth", 404),
        ("/releases/" + "x" * 5000, 404),
    ],
)
def test_what_is_no_name_is_refused_before_the_ledger_is_asked(server: Server, path: str, code: int) -> None:
    answer = server.ask("GET", API + path, "vera")
    assert answer.status_code == code, answer.text
    assert "Traceback" not in answer.text


def test_who_may_only_start_releases_adds_versions_to_a_train_and_holds_none(teams: Server) -> None:
    train = f"{API}/trains/checkout"
    for action in ("hold", "skip", "resume", "remove"):
        refused = teams.ask("POST", f"{train}/{action}", STARTER, json={"reason": "because"})
        assert (refused.status_code, "may not change" in refused.json()["detail"]) == (403, True), action
    added = {"reason": "because", "version": "3.0.0"}
    refused = teams.ask("POST", f"{train}/add", "bob", json=added)
    assert (refused.status_code, "may not start" in refused.json()["detail"]) == (403, True)
    assert teams.ask("POST", f"{train}/add", STARTER, json=added).status_code == 201
    assert teams.ask("POST", f"{train}/remove", "admin", json={"reason": "over"}).status_code == 201
