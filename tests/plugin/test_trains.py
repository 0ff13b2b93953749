"""Trains through the API and the command line, on a real server."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.cli.command import relman
from tests.plugin.airflow_server import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

API = "/relman/api/v1/trains"


def test_a_train_is_seen_held_skipped_and_given_a_version(server: Server) -> None:
    def act(action: str, user: str = "alice", status: int = 201, **body: Any) -> dict[str, Any]:
        given = {"reason": "because"} | body
        answer = server.ask("POST", f"{API}/checkout/{action}", user, json=given)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def typed(*words: str, user: str = "alice") -> str:
        done = relman("train", *words, RELMAN_URL=server.url, RELMAN_USER=user, RELMAN_PASSWORD=user)
        return done.stdout + done.stderr

    listed, _ = server.ask("GET", API, "vera").json()["trains"]
    first, second = (datetime.fromisoformat(d["at"]) for d in listed["departures"][:2])
    assert (first.weekday(), first > server.ledger.now(), second - first > timedelta(days=6)) == (
        1,
        True,
        True,
    )
    assert listed["description"].endswith("unless somebody adds another version; settled 2h before")

    act("hold", status=422, reason=" ")
    act("hold", "vera", status=403)
    act("add", "vera", status=403, version="2.0.0")
    act("derail", status=422)
    act("add", status=422, version="../2")
    assert server.ask("GET", f"{API}/gone", "vera").status_code == 404

    assert act("hold", reason="audit")["message"].startswith("checkout is held: nothing departs until")
    assert "alice holds it already: audit" in act("hold", "bob", status=409)["detail"]
    assert "; held by alice: audit" in typed("list", user="vera")
    said = act("skip")["message"]
    assert said == f"checkout skips the departure of {first:%Y-%m-%d %H:%M} UTC"
    assert f"{second:%Y-%m-%d %H:%M} UTC; it is held" in act("add", version="2.0.0")["message"]
    shown = typed("show", "checkout", user="vera")
    assert "skipped by alice: because" in shown
    assert "! held by alice: audit" in shown
    assert "on it: 2.0.0, added by alice: because" in shown

    assert typed("resume", "checkout", "--reason", "over").startswith("checkout departs again, next ")
    assert "neither held nor skipped" in typed("resume", "checkout", "--reason", "over")
    assert "--reason: say why" in typed("hold", "checkout", "--reason", " ")
    assert typed("remove", "checkout", "--reason", "a bug") == "what was added to checkout is taken off\n"
    journal = server.ask("GET", f"{API}/checkout", "vera").json()["journal"]
    assert [(e["action"], e["actor"]["via"]) for e in reversed(journal[:5])] == [
        ("hold", "api"),
        ("skip", "api"),
        ("add", "api"),
        ("resume", "cli"),
        ("remove", "cli"),
    ]
    assert {e.channel for e in server.ledger.trains.latest("checkout")} == {"#rel-checkout"}


def test_a_train_by_events_is_seen_and_steered_though_nobody_knows_its_departures(server: Server) -> None:
    def typed(*words: str) -> str:
        done = relman("train", *words, RELMAN_URL=server.url, RELMAN_USER="alice", RELMAN_PASSWORD="alice")
        return done.stdout + done.stderr

    _, listed = server.ask("GET", API, "vera").json()["trains"]
    assert (listed["name"], listed["assets"], listed["departures"]) == ("lab", ["lab-image"], [])
    assert "departs with each event of lab-image" in typed("list")
    assert "hold` keeps all back" in typed("skip", "lab", "--reason", "x")
    assert typed("add", "2.0.0", "--train", "lab", "--reason", "x") == "2.0.0 is on lab\n"
    assert typed("hold", "lab", "--reason", "x").startswith("lab is held")
    assert "on it: 2.0.0" in typed("show", "lab")
