"""Approve in Slack now, to take effect later: the form asks when, and the vote service knows what can be."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from relman_plugins.notifications.buttons import LATER
from tests.plugin.airflow_server import Server
from tests.plugin.test_slack import ALICE, BOB, Asked

pytestmark = [pytest.mark.real, pytest.mark.timeout(600), pytest.mark.usefixtures("nothing_shown")]


def test_an_approval_takes_effect_at_the_time_of_the_form(server: Server) -> None:
    asked = Asked(server, "5.2.0", quorum=2)
    now = server.ledger.now().replace(microsecond=0)
    assert asked.press(ALICE, LATER) == (200, "")
    ((view_id, view),) = asked.slack.interactive.views.items()
    assert [b["block_id"] for b in view["blocks"] if b["type"] == "input"] == ["effect_at", "comment"]

    def send(seconds: float, **more: str) -> str:
        at = f"{(now + timedelta(seconds=seconds)).timestamp():.0f}"
        return asked.slack.interactive.send(ALICE, view_id, effect_at=at, **more).body

    assert "UTC is over; say a later time" in json.loads(send(-60))["errors"]["comment"]
    assert "days away" in json.loads(send(86_400 * 400))["errors"]["comment"]
    assert asked.gate.votes == ()
    assert send(3600, comment="after the shop closes") == ""
    asked.press(BOB)
    gate = asked.gate
    assert (gate.state, gate.effect_at) == ("approved", now + timedelta(seconds=3600))
    first = gate.votes[0]
    assert (first.person, first.comment, first.via) == ("alice", "after the shop closes", "slack")
    asked.tell()
    assert ", takes effect " in asked.question["text"]


def test_a_form_without_a_time_approves_at_once(server: Server) -> None:
    asked = Asked(server, "5.2.1")
    asked.press(ALICE, LATER)
    (view_id,) = asked.slack.interactive.views
    assert asked.slack.interactive.send(ALICE, view_id) == (200, "")
    assert (asked.gate.state, asked.gate.effect_at) == ("approved", None)


@pytest.mark.parametrize("seconds", ["soon", -1, True, 10**18, 1.5, {"at": 1}])
def test_what_is_no_time_approves_nothing(server: Server, seconds: object) -> None:
    asked = Asked(server, "5.2.2")
    asked.press(ALICE, LATER)
    (view_id,) = asked.slack.interactive.views
    sent = asked.slack.interactive
    view = sent.views[view_id]
    filled = {"effect_at": {"effect_at": {"type": "datetimepicker", "selected_date_time": seconds}}}
    payload = {
        "type": "view_submission",
        "user": {"id": ALICE},
        "view": {**view, "state": {"values": filled}},
    }
    assert sent.deliver(sent.signed(payload)).status == 400
    assert asked.gate.votes == ()
