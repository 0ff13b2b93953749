"""The API in a real Airflow API server: who gets in, what they may do, what is recorded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from tests.plugin.airflow_server import GATE, Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

API = "/relman/api/v1"


def votes_path(record: Any, gate: str = GATE) -> str:
    return f"{API}/releases/{record.release_id}/gates/{gate}/votes"


def approval(server: Server, record: Any) -> dict[str, str]:
    return {"decision": "approve", "digest": server.ledger.votes.gate(record.release_id, GATE).subject_digest}


ROUTES = [
    ("GET", "/releases"),
    ("GET", "/releases/{id}"),
    ("GET", "/releases/{id}/forecast"),
    ("GET", "/releases/{id}/events"),
    ("GET", "/releases/{id}/plan"),
    ("GET", "/releases/{id}/report"),
    ("GET", "/releases/{id}/pictures"),
    ("GET", f"/releases/{{id}}/pictures/{GATE}.svg"),
    ("GET", "/releases/{id}/evidence"),
    ("GET", "/releases/{id}/rollback"),
    ("GET", "/gates"),
    ("GET", "/locks"),
    ("GET", "/freezes"),
    ("POST", "/freezes"),
    ("POST", "/freezes/thaw"),
    ("GET", "/trains"),
    ("GET", "/trains/checkout"),
    ("POST", "/trains/checkout/hold"),
    ("GET", "/metrics"),
    ("GET", f"/releases/{{id}}/gates/{GATE}/votes"),
    ("POST", f"/releases/{{id}}/gates/{GATE}/votes"),
    ("DELETE", f"/releases/{{id}}/gates/{GATE}/votes"),
    ("POST", f"/releases/{{id}}/gates/{GATE}/settlement"),
    ("POST", "/releases/{id}/abort"),
    ("POST", "/releases/{id}/rollback"),
    ("POST", "/releases/{id}/hold"),
    ("POST", "/releases/{id}/resume"),
    ("POST", "/locks/production/checkout/break"),
    ("GET", "/health"),
    ("GET", f"/gates/{{id}}/{GATE}"),
]


def address(path: str, release: str) -> str:
    """Return where a route is: the page of a gate is for people, and no part of the API."""
    return ("/relman" if path.startswith("/gates/") else API) + path.format(id=release)


def test_nothing_answers_without_a_token(server: Server) -> None:
    record = server.release("0.0.1")
    for method, path in ROUTES:
        url = address(path, record.release_id)
        answer = server.ask(method, url, json=None if method == "GET" else {})
        assert (answer.status_code, record.release_id in answer.text) == (401, False), url
        forged = server.ask(method, url, headers={"Authorization": "Bearer forged"}, json={})
        assert forged.status_code == 403, url
    for path in ("/relman/docs", "/relman/openapi.json", "/relman/redoc", "/relman/", API):
        assert server.ask("GET", path).status_code == 404


def test_a_viewer_reads_everything_and_changes_nothing(server: Server) -> None:
    record = server.release("0.0.2")
    lock = server.ledger.locks.acquire("production", "checkout", record.release_id, 600)
    for method, path in ROUTES:
        url = address(path, record.release_id)
        body = {"reason": "because"} if method == "POST" else {"comment": ""} if method == "DELETE" else None
        if method == "POST" and path.endswith("votes"):
            body = {"decision": "approve"}
        elif method == "POST" and path.endswith("break"):
            body |= {"token": lock.token}
        # Vera is listed as an approver, but Airflow lets viewers change nothing. What is under way has no
        # way back but an abort, and whoever may read is told so.
        # Nothing was measured at the gate, so there is no picture of it.
        odd = {"rollback": 409, f"{GATE}.svg": 404}
        wanted = 403 if body else odd.get(path.rpartition("/")[2], 200)
        assert server.ask(method, url, "vera", json=body).status_code == wanted, url
    assert server.ledger.votes.gate(record.release_id, GATE).votes == ()
    assert server.ledger.locks.release("production", "checkout", record.release_id)


def test_a_release_is_shown_as_recorded(server: Server) -> None:
    record = server.release("0.0.3")
    one = server.ask("GET", f"{API}/releases/{record.release_id}", "vera").json()
    assert one["plan_hash"] == record.plan_hash
    assert one["status"]["outcome"] is None
    assert [w["gate"] for w in one["status"]["waiting_for"]] == [GATE]
    assert [g["state"] for g in one["gates"]] == ["open"]
    plan = server.ask("GET", f"{API}/releases/{record.release_id}/plan", "vera").json()
    assert plan["plan"] == record.plan.model_dump(mode="json")
    events = server.ask("GET", f"{API}/releases/{record.release_id}/events", "vera").json()["events"]
    assert [e["kind"] for e in events] == ["release.opened", "gate.opened"]
    later = f"{API}/releases/{record.release_id}/events?after={events[0]['id']}"
    assert server.ask("GET", later, "vera").json()["events"] == events[1:]
    by_run = {"pipeline": "checkout", "run_id": record.run_id}
    found = server.ask("GET", f"{API}/releases", "vera", params=by_run).json()["releases"]
    assert [r["release_id"] for r in found] == [record.release_id]
    waiting = server.ask("GET", f"{API}/gates?state=open", "vera").json()["gates"]
    assert record.release_id in {g["release_id"] for g in waiting}


def test_whose_lock_a_release_waits_for_is_said(server: Server) -> None:
    holder, waiting = server.release("0.0.31"), server.release("0.0.32")
    step = next(s for s in waiting.plan.shape.steps if s.changes and s.environment)
    where = (str(step.environment), waiting.service)
    lock = server.ledger.locks.acquire(*where, holder.release_id, 600)
    began = NewEvent(kind=Kind.STEP_STARTED, key=f"{waiting.release_id}:{step.id}:started", step=step.id)
    assert server.ledger.record(waiting.release_id, began)

    def told(release_id: str) -> list[dict[str, Any]]:
        found = server.ask("GET", f"{API}/releases/{release_id}", "vera").json()["waits_for"]
        return [{k: x[k] for k in ("environment", "service", "holder")} for x in found]

    expected = {"environment": where[0], "service": where[1], "holder": holder.release_id}
    assert told(waiting.release_id) == [expected]
    assert told(holder.release_id) == []
    assert server.ledger.locks.release(*where, holder.release_id), lock
    assert told(waiting.release_id) == []


def test_answers_stay_out_of_frames_and_caches(server: Server) -> None:
    for user in (None, "vera"):
        headers = server.ask("GET", f"{API}/health", user).headers
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_health_says_how_the_parts_are(server: Server) -> None:
    health = server.ask("GET", f"{API}/health", "vera").json()
    assert health["ledger"]["ok"] is True
    assert health["middleware"] == {"active": True}
    assert health["all_admins"] is False
    assert health["user"]["id"] == "vera"
    assert isinstance(health["outbox"]["pending"], int)


def test_health_names_nobody_whom_a_mail_server_refused(server: Server) -> None:
    server.release("0.0.8")
    outbox = server.ledger.outbox
    message = outbox.due(limit=500)[-1]
    outbox.failed(message.id, "email: <ops@shop.example> is refused (550)", datetime.now(UTC))
    told = server.ask("GET", f"{API}/health", "vera").text
    assert "is refused (550)" in told
    assert "ops@shop" not in told
    outbox.failed(message.id, "email: ops@shop.example is refused (550)", None)
    given_up = server.ask("GET", f"{API}/health", "vera").json()["outbox"]
    assert given_up["given_up"] >= 1
    assert "ops@shop" not in str(given_up)


def test_a_quorum_is_counted_and_said(server: Server) -> None:
    record = server.release("0.1.0", quorum=2)
    digest = server.ledger.votes.gate(record.release_id, GATE).subject_digest
    body = {"decision": "approve", "comment": "looks good", "digest": digest}
    first = server.ask("POST", votes_path(record), "alice", json=body)
    assert (first.status_code, first.json()["missing"], first.json()["gate"]["state"]) == (201, 1, "open")
    again = server.ask("POST", votes_path(record), "alice", json=body)
    assert (again.status_code, "already" in again.json()["detail"]) == (409, True)
    second = server.ask("POST", votes_path(record), "bob", json=body, headers={"X-Relman-Via": "cli"})
    assert (second.status_code, second.json()["missing"], second.json()["gate"]["state"]) == (
        201,
        0,
        "approved",
    )
    gate = server.ledger.votes.gate(record.release_id, GATE)
    assert [(v.person, v.via, v.comment) for v in gate.votes] == [
        ("alice", "api", "looks good"),
        ("bob", "cli", "looks good"),
    ]
    late = server.ask("POST", votes_path(record), "bob", json={"decision": "reject"})
    assert late.status_code == 409


def test_somebody_else_is_refused_and_the_gate_goes_on(server: Server) -> None:
    record = server.release("0.1.1")
    refused = server.ask("POST", votes_path(record), "uma", json=approval(server, record))
    assert refused.status_code == 403
    assert "ask one of: Alice Example" in refused.json()["detail"]
    # An Airflow admin has no vote either, unless listed.
    assert server.ask("POST", votes_path(record), "admin", json=approval(server, record)).status_code == 403
    assert server.ask("POST", votes_path(record), "alice", json=approval(server, record)).status_code == 201


def test_a_vote_on_something_else_than_was_shown_is_refused(server: Server) -> None:
    record = server.release("0.1.2")
    stale = {"decision": "approve", "digest": "sha256:" + "0" * 64}
    assert server.ask("POST", votes_path(record), "alice", json=stale).status_code == 409
    blind = server.ask("POST", votes_path(record), "alice", json={"decision": "approve"})
    assert (blind.status_code, "say what you were shown" in blind.json()["detail"]) == (422, True)
    assert server.ledger.votes.gate(record.release_id, GATE).state == "open"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"decision": "maybe"}, "decision"),
        ({}, "decision"),
        ({"decision": "approve", "force": True}, "force"),
        ({"decision": "approve", "comment": "x" * 4001}, "comment"),
        ([], "body"),
    ],
)
def test_a_malformed_vote_says_where(server: Server, body: Any, place: str) -> None:
    record = server.release("0.1.3")
    answer = server.ask("POST", votes_path(record), "alice", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{place}: ")


def test_unknown_things_are_not_found(server: Server) -> None:
    record = server.release("0.1.4")
    assert server.ask("GET", f"{API}/releases/nothing-1-1", "vera").status_code == 404
    vote = approval(server, record)
    assert server.ask("POST", votes_path(record, "qa.approval"), "alice", json=vote).status_code == 404
    assert server.ask("POST", f"{API}/releases/x-1-1/abort", "alice", json={"reason": "r"}).status_code == 404


FOREIGN = [
    {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9099"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://127.0.0.1:9099"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_another_page_cannot_use_the_cookie(server: Server, headers: dict[str, str]) -> None:
    record = server.release("0.2.0")
    vote = approval(server, record)
    forged = server.ask("POST", votes_path(record), "alice", cookie=True, json=vote, headers=headers)
    assert (forged.status_code, "cross-origin" in forged.json()["detail"]) == (403, True)
    acts = [f"/releases/{record.release_id}/{verb}" for verb in ("abort", "hold", "resume")]
    for path in (*acts, "/locks/production/checkout/break"):
        url = f"{API}{path}"
        body = {"reason": "forged", "token": 1} if path.endswith("break") else {"reason": "forged"}
        assert server.ask("POST", url, "alice", cookie=True, json=body, headers=headers).status_code == 403
    assert [e.kind for e in server.ledger.events(record.release_id)] == ["release.opened", "gate.opened"]
    # A Bearer token isn't sent by a browser on its own: the same headers do no harm there.
    assert server.ask("POST", votes_path(record), "alice", json=vote, headers=headers).status_code == 201


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_cannot_vote(server: Server, content_type: str) -> None:
    record = server.release("0.2.1")
    for cookie in (True, False):
        answer = server.ask(
            "POST",
            votes_path(record),
            "alice",
            cookie=cookie,
            content='{"decision": "approve"}',
            headers={"Content-Type": content_type},
        )
        assert answer.status_code == 415
    assert server.ledger.votes.gate(record.release_id, GATE).state == "open"


def test_airflows_own_page_can_use_the_cookie(server: Server) -> None:
    record = server.release("0.2.2")
    own = {"Sec-Fetch-Site": "same-origin", "Origin": server.url}
    answer = server.ask(
        "POST", votes_path(record), "alice", cookie=True, json={"decision": "reject"}, headers=own
    )
    assert (answer.status_code, answer.json()["gate"]["state"]) == (201, "rejected")


def test_hold_resume_and_abort_are_recorded_once_each(server: Server) -> None:
    record = server.release("0.3.0")
    url = f"{API}/releases/{record.release_id}"

    def act(verb: str, user: str = "alice", **body: str) -> tuple[int, Any]:
        answer = server.ask("POST", f"{url}/{verb}", user, json=body)
        return answer.status_code, answer.json().get("recorded")

    assert act("resume") == (409, None)
    assert act("hold", reason="strange numbers") == (200, True)
    assert act("hold", user="bob") == (200, False)
    assert server.ledger.status(record.release_id).held
    assert act("resume", user="bob") == (200, True)
    assert act("hold") == (200, True)
    assert act("abort", reason=" ")[0] == 422
    assert act("abort", reason="wrong version") == (200, True)
    assert act("abort", reason="again") == (200, False)
    assert act("resume") == (409, None)
    status = server.ledger.status(record.release_id)
    assert (status.held, status.abort.actor.id, status.abort.reason) == (True, "alice", "wrong version")


def test_a_hold_says_that_questions_go_on_and_they_do(server: Server) -> None:
    record = server.release("0.3.1")
    url = f"{API}/releases/{record.release_id}/hold"
    ends = server.ledger.votes.gate(record.release_id, GATE).expires_at
    told = f"meanwhile {GATE} can be answered until {ends:%Y-%m-%d %H:%M} UTC"
    assert told in server.ask("POST", url, "alice", json={}).json()["message"]
    assert told in server.ask("POST", url, "bob", json={}).json()["message"]
    assert server.ask("POST", votes_path(record), "alice", json=approval(server, record)).status_code == 201
    assert "meanwhile" not in server.ask("POST", url, "bob", json={}).json()["message"]


def test_of_two_simultaneous_answers_one_counts(server: Server) -> None:
    record = server.release("0.4.0")
    server.token("alice"), server.token("bob")

    shown = approval(server, record)

    def vote(user: str, decision: str) -> int:
        body = {**shown, "decision": decision}
        return int(server.ask("POST", votes_path(record), user, json=body).status_code)

    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(vote, ("alice", "bob"), ("approve", "reject")))
    assert sorted(codes) == [201, 409]
    gate = server.ledger.votes.gate(record.release_id, GATE)
    assert gate.state == ("approved" if codes[0] == 201 else "rejected")
    assert len(gate.votes) == 1


def test_a_report_comes_in_three_forms(server: Server) -> None:
    record = server.release("0.0.9")
    path = f"{API}/releases/{record.release_id}/report"
    assert server.ask("GET", path, "vera").json()["release_id"] == record.release_id
    assert server.ask("GET", path, "vera", params={"format": "md"}).text.startswith(
        "# checkout 0.0.9: under way"
    )
    page = server.ask("GET", path, "vera", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "style-src 'sha256-" in page.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    assert record.release_id in page.text
    assert server.ask("GET", path, "vera", cookie=True, params={"format": "html"}).text == page.text
    assert server.ask("GET", path, "vera", params={"format": "pdf"}).status_code == 422
    assert server.ask("GET", f"{API}/releases/none/report", "vera").status_code == 404


def test_a_report_opened_without_a_session_leads_through_airflows_login(server: Server) -> None:
    record = server.release("0.0.10")
    path = f"{API}/releases/{record.release_id}/report?format=html"
    browser = {"Accept": "text/html"}
    for cookie in ({}, {"Cookie": "_token=of-another-server"}):
        sent = server.ask("GET", path, headers=browser | cookie)
        assert sent.status_code == 303, sent.text
        login = server.ask("GET", sent.headers["location"], headers=browser)
        assert login.status_code == 307, login.text
        where, _, asked = login.headers["location"].partition("?")
        assert where.endswith("/auth/login")
        assert parse_qs(asked) == {"next": [path]}
    forged = browser | {"Authorization": "Bearer forged"}
    assert server.ask("GET", path, headers=forged).status_code == 403


def test_figures_are_those_of_what_the_caller_may_see(server: Server) -> None:
    record = server.release("0.0.11")
    revision = {"version": "0.0.11", "digest": "sha256:" + "a" * 64, "uri": "file:///x"}
    data = {"desired": {"stable": revision}, "promoted": True}
    event = NewEvent(
        kind=Kind.CHANGE_FINISHED, key=f"{record.release_id}:live", environment="production", data=data
    )
    server.ledger.record(record.release_id, event)

    def asked(**params: str) -> Any:
        return server.ask("GET", f"{API}/metrics", "vera", params=params)

    found = asked(pipeline="checkout").json()
    (one,) = found["pipelines"]
    assert (one["pipeline"], one["environment"]) == ("checkout", "production")
    assert one["deployments"] >= 1
    assert "commit" in found["definitions"]["lead time for changes"]
    assert asked(to="2020-01-01").json()["together"]["failure_rate"] is None
    assert asked(pipeline="none").status_code == 404
    assert "there are production" in asked(environment="nowhere").json()["detail"]
    assert asked(**{"from": "2020-02-01", "to": "2020-01-01"}).status_code == 422
    for period in ({"from": "soon"}, {"to": "9999-12-31"}, {"to": "0001-01-01"}, {"from": "0001-01-01"}):
        assert asked(**period).status_code == 422, period
