"""What an emergency owes, in Slack: a question of its own, with buttons that outlive the release."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.ledger.api import Ledger
from relman_plugins.notifications.outbox import drain
from relman_plugins.notifications.slack import Slack
from relman_plugins.testing.slack import SlackServer
from relman_plugins.testing.slack_interactive import buttons_of
from tests.ledger import test_break_glass as glass
from tests.ledger.make import GATE


def question(server: SlackServer) -> dict[str, Any]:
    (found,) = (m for m in server.messages() if "What is approved" in json.dumps(m["blocks"]))
    return found


@pytest.mark.parametrize("way", ["allowed", "link"])
def test_what_is_owed_can_be_answered_there_also_after_the_end(
    ledger: Ledger, server: SlackServer, slack: Slack, way: str
) -> None:
    release = glass.start(ledger, [glass.MANAGERS], slack_votes=way)
    ledger.votes.waive(release.release_id, GATE)
    closed = NewEvent(kind=Kind.RELEASE_CLOSED, key="end", data={"outcome": "succeeded", "reason": ""})
    assert ledger.record(release.release_id, closed)
    drain(ledger, slack, buttons=True)
    asked = question(server)
    assert "is to be approved afterwards, by 1 approval of Erin until" in asked["text"]
    assert f"relman approve {release.release_id} --gate {glass.DEBT}" in json.dumps(asked["blocks"])
    # Where the environment insists on a link, that holds for this gate, too.
    assert bool(list(buttons_of(asked))) is (way == "allowed")
    assert glass.cast(ledger, release, "a.erin").accepted
    drain(ledger, slack, buttons=True)
    asked = question(server)
    assert asked["text"].startswith("✅ production: approved afterwards by Erin")
    assert not list(buttons_of(asked))
