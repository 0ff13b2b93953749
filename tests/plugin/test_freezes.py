"""Stopping the line through the API, on a real server."""

from __future__ import annotations

import pytest

from tests.plugin.airflow_server import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

API = "/relman/api/v1"


def test_the_line_is_stopped_and_started_again_and_whom_it_holds_up_is_told(server: Server) -> None:
    waiting = server.release("0.0.33")
    scope = {"environment": "production", "pipeline": "checkout"}

    def told() -> list[str]:
        found = server.ask("GET", f"{API}/releases/{waiting.release_id}", "vera").json()["freezes"]
        return [f"{f['actor']['id']}: {f['reason']}" for f in found]

    assert server.ask("POST", f"{API}/freezes", "alice", json=scope).status_code == 422  # no reason
    body = scope | {"reason": "incident 7", "until": "2999-01-01T00:00:00+01:00"}
    answer = server.ask("POST", f"{API}/freezes", "alice", json=body)
    assert answer.status_code == 201, answer.text
    assert "2998-12-31 23:00 UTC" in answer.json()["message"]
    listed = server.ask("GET", f"{API}/freezes", "vera").json()["freezes"]
    assert [(f["environment"], f["pipeline"], f["reason"]) for f in listed] == [
        ("production", "checkout", "incident 7")
    ]
    assert told() == ["alice: incident 7"]
    wrong = {"environment": "", "pipeline": "", "reason": "over"}
    assert server.ask("POST", f"{API}/freezes/thaw", "alice", json=wrong).status_code == 404
    thawed = server.ask("POST", f"{API}/freezes/thaw", "alice", json=scope | {"reason": "over"})
    assert thawed.json()["message"].startswith("thawed: checkout in production; nothing is frozen")
    assert told() == []
    misspelt = {"environment": "prodution", "pipeline": "checkout", "reason": "incident 8"}
    said = server.ask("POST", f"{API}/freezes", "alice", json=misspelt).json()["message"]
    assert "NO RELEASE HAS EVER BEEN ABOUT prodution" in said
    assert server.ask("POST", f"{API}/freezes/thaw", "alice", json=misspelt).status_code == 200
    labelled = scope | {"labels": {"tier": "gold"}, "reason": "audit", "unless": "approved"}
    said = server.ask("POST", f"{API}/freezes", "alice", json=labelled).json()["message"]
    assert said.startswith(
        "checkout with tier=gold in production is frozen, unless an exception is approved,"
    )
    assert "NO RELEASE HAS EVER BEEN ABOUT tier=gold" in said
    assert told() == []
    unlabelled = scope | {"reason": "over"}
    assert server.ask("POST", f"{API}/freezes/thaw", "alice", json=unlabelled).status_code == 404
    thaw = {key: value for key, value in labelled.items() if key != "unless"}
    assert server.ask("POST", f"{API}/freezes/thaw", "alice", json=thaw).status_code == 200
    past = body | {"until": "2020-01-01T00:00:00Z"}
    assert server.ask("POST", f"{API}/freezes", "alice", json=past).status_code == 409
    odd = body | {"environment": "Prod uction"}
    assert server.ask("POST", f"{API}/freezes", "alice", json=odd).status_code == 422
