"""What Slack hears of trains, against a real ledger and a Slack that misbehaves over real HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import Ledger
from relman_plugins.notifications.slack import Slack
from relman_plugins.notifications.trains import tell
from relman_plugins.testing.slack import SlackServer, plain
from tests.notifications.conftest import CHANNEL

ALICE = Actor(kind="person", id="alice", name="Alice <!here>", via="cli")


def act(ledger: Ledger, action: str, **more: Any) -> None:
    about = {"actor": ALICE, "reason": "the *audit* <!channel>", "channel": CHANNEL} | more
    ledger.trains.act("checkout", action, **about)


def note(ledger: Ledger, departs: datetime, **more: Any) -> None:
    closes = (departs - timedelta(hours=2)).isoformat()
    data = {"closes": closes, "settled": False, "stays": ""} | more.pop("data", {})
    about = {"version": "1.4.0", "reason": "the newest tag v* in ..", "channel": CHANNEL} | more
    ledger.trains.note("checkout", "announced", departs, data=data, **about)


def said(server: SlackServer) -> list[str]:
    return [plain(m).splitlines()[0] for m in server.messages()]


def end(ledger: Ledger, departs: datetime, **more: Any) -> None:
    about = {"version": "", "reason": "nothing new", "data": {}, "channel": CHANNEL} | more
    ledger.trains.end("checkout", departs, **about)


def test_it_hears_what_departs_and_what_people_do_in_order_and_once(
    ledger: Ledger, server: SlackServer, slack: Slack
) -> None:
    departs = ledger.now() + timedelta(days=1)
    note(ledger, departs)
    act(ledger, "add", version="1.5.0")
    act(ledger, "hold")
    end(ledger, ledger.now())
    act(ledger, "resume")
    act(ledger, "skip", departs=departs)
    end(ledger, departs)
    assert tell(ledger, slack).sent == 7
    assert tell(ledger, slack) == (0, 0)
    lines = said(server)
    assert lines[0].startswith("🚆 the train of checkout departs ")
    assert lines[0].endswith(" with 1.4.0")
    assert [line.partition(" ")[0] for line in lines] == ["🚆", "➕", "⏸️", "🚉", "▶️", "⏭️", "🚉"]
    assert "held at the departure of " in lines[3]
    # What is quoted is not parsed; whose name it is, is.
    assert "<!here" not in str(server.messages())


def test_an_announcement_says_until_when_a_version_may_be_added_or_that_it_is_settled(
    ledger: Ledger, server: SlackServer, slack: Slack
) -> None:
    departs = ledger.now() + timedelta(days=1)
    note(ledger, departs)
    note(ledger, departs + timedelta(days=1), data={"settled": True})
    note(ledger, departs + timedelta(days=2), data={"stays": "audit"})
    tell(ledger, slack)
    whole = [plain(m) for m in server.messages()]
    assert "What is added until" in whole[0]
    assert "goes with it, later versions with the next" in whole[0]
    assert ("settled" in whole[1], "What is added" in whole[1]) == (True, False)
    assert "would depart" in whole[2]
    assert "and stays: audit" in whole[2]


def test_that_a_departure_waits_is_told_with_what_it_waits_for(
    ledger: Ledger, server: SlackServer, slack: Slack
) -> None:
    why = "cannot read the version to release from VERSION; tried again until 10:00 UTC"
    ledger.trains.note("checkout", "delayed", ledger.now(), reason=why, channel=CHANNEL)
    tell(ledger, slack)
    (waits,) = (plain(m) for m in server.messages())
    assert waits.startswith("🚉 the train of checkout: waits at the departure of ")
    assert why in waits


def test_an_announcement_of_what_has_departed_is_not_told(
    ledger: Ledger, server: SlackServer, slack: Slack
) -> None:
    note(ledger, ledger.now() - timedelta(minutes=1))
    assert tell(ledger, slack) == (0, 0)
    assert said(server) == []


@pytest.mark.parametrize("fault", ["hang_after", "server_error"])
def test_a_message_whose_answer_was_lost_is_there_once(
    ledger: Ledger, server: SlackServer, slack: Slack, fault: str
) -> None:
    act(ledger, "hold")
    server.fault(fault, method="chat.postMessage")
    assert tell(ledger, slack) == (0, 1)
    assert tell(ledger, slack) == (1, 0)
    assert len(said(server)) == 1


def test_a_channel_that_is_not_there_holds_no_other(
    ledger: Ledger, server: SlackServer, slack: Slack
) -> None:
    act(ledger, "hold", channel="#gone")
    act(ledger, "resume", channel="#gone")
    act(ledger, "add", version="1.5.0")
    assert tell(ledger, slack) == (1, 1)
    assert said(server)[0].startswith("➕ Alice")
