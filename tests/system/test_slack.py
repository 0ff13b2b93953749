"""Approved with a button in Slack, through a whole real Airflow: from the press to production."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.clients.http import client, request
from relman_plugins.notifications.buttons import APPROVE, REJECT
from relman_plugins.testing.slack_interactive import buttons_of
from tests.system.conftest import Run, World, slack_transcript
from tests.waiting import eventually

GATE = "live.approval"


@pytest.fixture
def run(world: World) -> Run:
    """A release that waits at its gate, told in Slack; admin started it."""
    run = world.start("gated")
    run.asked(GATE)
    eventually(lambda: list(buttons_of(question(run))), "the buttons")
    return run


def question(run: Run) -> dict[str, Any]:
    """Return the message that asks, as Slack has it now."""
    found = [
        (channel["id"], message)
        for channel in slack_transcript(run.world)
        for message in channel["messages"]
        if (message.get("metadata") or {}).get("event_payload", {}).get("release") == run.release_id
        and "What is approved" in str(message.get("blocks"))
    ]
    return {"channel": found[-1][0], **found[-1][1]} if found else {}


def slack(run: Run, path: str, **given: str) -> dict[str, Any]:
    with client(run.world.stack.addresses.slack, timeout=30) as http:
        return dict(request(http, "POST", path, json=given).json())


def press(run: Run, user: str, action: str) -> None:
    asked = question(run)
    answer = slack(run, "/_press", user=user, action=action, channel=asked["channel"], ts=asked["ts"])
    assert answer == {"status": 200, "body": ""}


def told(run: Run, user: str, words: str) -> None:
    def found() -> bool:
        with client(run.world.stack.addresses.slack) as http:
            private = request(http, "GET", "/_private").json()
        return any(p["user"] == user and words in p["text"] for p in private)

    eventually(found, f"{words!r} for {user}", 30)


def test_a_button_opens_production_for_who_may_and_for_nobody_else(run: Run) -> None:
    press(run, "U03STRANGER", APPROVE)
    told(run, "U03STRANGER", "ask one of: Alice Example")
    assert [e.data["code"] for e in run.events("vote.refused")] == ["unknown_slack_user"]
    assert run.events("gate.voted") == []
    press(run, "U01ALICE", APPROVE)
    assert run.outcome() == "succeeded"
    assert run.state() == "success"
    (voted,) = run.events("gate.voted")
    assert (voted.actor.id, voted.actor.via) == ("alice", "slack")
    stands = eventually(
        lambda: (q := question(run)) and not list(buttons_of(q)) and q["text"], "the rewritten message"
    )
    assert stands.startswith("✅ live: approved by Alice Example")


def test_a_rejection_with_its_reason_ends_the_release(run: Run) -> None:
    press(run, "U02BOB", REJECT)
    sent = slack(run, "/_send", user="U02BOB", comment="not on a Friday")
    assert sent == {"status": 200, "body": ""}
    assert run.outcome() == "rejected"
    (decided,) = run.events("gate.decided")
    assert (decided.data["by"], decided.data["comment"]) == ("bob", "not on a Friday")
    eventually(lambda: question(run)["text"].startswith("⛔ live: rejected by Bob Example"), "the message")
