"""Who is mentioned, when, and how often; what is not worth telling any more; several places at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.notifications.outbox import drain
from relman_plugins.notifications.slack import Slack
from relman_plugins.notifications.text import nobody
from relman_plugins.notifications.thread import thread_message
from relman_plugins.plan.model import ReleasePlan
from relman_plugins.plan.routing import Route
from relman_plugins.testing.slack import SlackServer, plain

Happens = Callable[..., None]
NOW = datetime(2100, 1, 1, tzinfo=UTC)
GATE = "production.approval"
ALICE, BOB, ZOE = (
    Person(id=i, airflow=i, name=i.title(), slack=f"U01{i.upper()}") for i in ("alice", "bob", "zoe")
)


@pytest.fixture
def release(ledger: Ledger, plan: Callable[..., ReleasePlan]) -> ReleaseRecord:
    whole = plan("1.1.0")
    routes = (
        Route(channel="slack", addresses=("#rel-checkout",), mention=(ALICE, ZOE)),
        Route(channel="slack", addresses=("#releases",), min_severity="error", mention=(BOB,)),
    )
    shape = whole.shape.model_copy(update={"routes": routes})
    return ledger.open_release(
        plan=whole.model_copy(update={"shape": shape}),
        dag_id="release__checkout",
        run_id="manual__2026-01-02T03:04:05+00:00",
        started_by=Actor(kind="person", id="alice", name="Alice", via="airflow", slack="U01ALICE"),
        conf={},
    )


def ask(
    ledger: Ledger, release: ReleaseRecord, *people: Person, remind_s: float = 60, quorum: int = 2
) -> None:
    ledger.votes.open_gate(
        release.release_id,
        GATE,
        subject={"version": "1.1.0"},
        people=people,
        quorum=quorum,
        timeout_s=600,
        on_timeout="reject",
        remind_s=remind_s,
    )


def mentions(message: dict[str, Any]) -> list[str]:
    text = str(message["blocks"])
    return [part[: part.index(">")] for part in text.split("<@")[1:]]


def last(server: SlackServer, channel: str = "#rel-checkout") -> dict[str, Any]:
    return server.messages(channel)[-1]


def test_a_release_that_failed_calls_who_started_it_and_the_routes_group_each_once(
    ledger: Ledger, server: SlackServer, slack: Slack, release: ReleaseRecord, happens: Happens
) -> None:
    happens(release.release_id, Kind.STEP_FAILED, "qa.deploy", message="no")
    happens(release.release_id, Kind.RELEASE_CLOSED, "close", outcome="failed", reason="no")
    drain(ledger, slack, NOW, base_url="https://airflow.example")
    assert mentions(last(server)) == ["U01ALICE", "U01ZOE"]
    assert mentions(last(server, "#releases")) == ["U01ALICE", "U01BOB"]
    assert "runs/manual__2026-01-02T03%3A04%3A05%2B00%3A00|Open the run>" in str(last(server)["blocks"])
    others = [m for m in server.messages() if m is not last(server) and m["ts"] != last(server)["ts"]]
    assert not any(mentions(m) for m in others)


@pytest.mark.parametrize("outcome", ["succeeded", "rejected", "aborted", "superseded", "expired"])
def test_nobody_is_called_for_an_end_that_somebody_wanted(
    ledger: Ledger, server: SlackServer, slack: Slack, release: ReleaseRecord, happens: Happens, outcome: str
) -> None:
    happens(release.release_id, Kind.RELEASE_CLOSED, "close", outcome=outcome, reason="so")
    drain(ledger, slack, NOW)
    assert not any(mentions(m) for m in server.messages())


def test_what_relman_cannot_put_right_calls_at_once(
    ledger: Ledger, server: SlackServer, slack: Slack, release: ReleaseRecord, happens: Happens
) -> None:
    happens(release.release_id, Kind.STEP_FAILED, "production.rollback", message="platform gone", final=True)
    drain(ledger, slack, NOW)
    assert mentions(last(server, "#releases")) == ["U01ALICE", "U01BOB"]


def test_another_place_hears_only_its_part_and_the_end(
    ledger: Ledger, server: SlackServer, slack: Slack, release: ReleaseRecord, happens: Happens
) -> None:
    happens(release.release_id, Kind.ARTIFACT_BUILT, "build")
    drain(ledger, slack, NOW)
    assert server.messages("#releases") == []
    happens(release.release_id, Kind.TRAFFIC_WITHDRAWN, "production.canary_10", reason="errors")
    happens(release.release_id, Kind.RELEASE_CLOSED, "close", outcome="aborted", reason="Alice")
    drain(ledger, slack, NOW)
    parent, withdrawn, closed = server.messages("#releases")
    assert "aborted" in parent["text"]
    assert "traffic is back" in withdrawn["text"]
    assert "aborted" in closed["text"]


def test_a_channel_that_is_missing_does_not_hold_the_other(
    ledger: Ledger, server: SlackServer, slack: Slack, release: ReleaseRecord, happens: Happens
) -> None:
    server.api.store.channels = {
        i: name for i, name in server.api.store.channels.items() if name != "rel-checkout"
    }
    happens(release.release_id, Kind.RELEASE_CLOSED, "close", outcome="failed", reason="no")
    result = drain(ledger, slack, NOW)
    assert (result.sent, result.pending) == (1, 2)
    assert mentions(last(server, "#releases")) == ["U01ALICE", "U01BOB"]


def test_a_reminder_mentions_those_who_can_still_act_at_the_moment_it_is_told(
    ledger: Ledger, server: SlackServer, slack: Slack, release: ReleaseRecord
) -> None:
    ask(ledger, release, ALICE, BOB, ZOE)
    drain(ledger, slack, NOW)
    assert mentions(last(server)) == ["U01ALICE", "U01BOB", "U01ZOE"]
    opened = ledger.votes.gate(release.release_id, GATE)
    assert opened is not None
    assert ledger.votes.remind(release.release_id, GATE, now=opened.opened_at + timedelta(seconds=61))
    vote = {"airflow_user": "bob", "decision": Decision.APPROVE, "via": "cli"}
    assert ledger.votes.cast(release.release_id, GATE, **vote).accepted
    drain(ledger, slack, NOW)
    reminder = next(m for m in server.messages() if m["text"].startswith("⏰"))
    assert mentions(reminder) == ["U01ALICE", "U01ZOE"]
    assert "waits for Alice, Zoe (1 of 2 approved), since" in server.messages()[0]["text"].replace("∗", "")


def test_reminders_that_slack_missed_become_one_and_after_the_decision_none(
    ledger: Ledger, server: SlackServer, slack: Slack, release: ReleaseRecord
) -> None:
    ask(ledger, release, ALICE, quorum=1)
    gate = ledger.votes.gate(release.release_id, GATE)
    assert gate is not None
    for n in (1, 2, 3):
        assert ledger.votes.remind(release.release_id, GATE, now=gate.opened_at + timedelta(seconds=60 * n))
    drain(ledger, slack, NOW)
    assert sum(m["text"].startswith("⏰") for m in server.messages()) == 1
    assert ledger.votes.remind(release.release_id, GATE, now=gate.opened_at + timedelta(seconds=240))
    ledger.votes.cast(release.release_id, GATE, airflow_user="alice", decision=Decision.APPROVE, via="cli")
    asked = len(server.messages())
    assert drain(ledger, slack, NOW).pending == 0
    assert len(server.messages()) == asked + 2  # the vote and the decision
    assert sum("still waits" in m["text"] for m in server.messages()) == 0
    assert not mentions(last(server))


def test_a_gate_that_slack_hears_of_too_late_mentions_nobody(
    ledger: Ledger, server: SlackServer, slack: Slack, release: ReleaseRecord
) -> None:
    ask(ledger, release, ALICE, quorum=1)
    ledger.votes.cast(release.release_id, GATE, airflow_user="alice", decision=Decision.REJECT, via="cli")
    drain(ledger, slack, NOW)
    told = [m for m in server.messages() if m["text"].startswith("⛔ production: rejected by Alice")]
    assert told
    assert not mentions(told[0])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"missing": 2, "since": NOW.isoformat()},
            "⏰ production still waits since 2100-01-01 00:00 UTC for 2",
        ),
        ({"missing": 1, "checklist": True}, "relman approve checkout-1.1.0-1 --passed all"),
    ],
)
def test_a_reminder_says_what_is_missing_and_how_to_answer(data: dict[str, Any], words: str) -> None:
    told = thread_message(
        Event(
            id=1, release_id="checkout-1.1.0-1", kind=Kind.GATE_REMINDED, key="k", at=NOW, step=GATE,
            environment="production", actor=Actor(), data=data | {"people": [ALICE.model_dump()]},
        )
    )  # fmt: skip
    assert told is not None
    assert words in plain({"text": told.text, "blocks": told.blocks})


def test_a_release_that_people_rejected_is_shown_as_stopped_not_as_broken(
    ledger: Ledger, server: SlackServer, slack: Slack, release: ReleaseRecord, happens: Happens
) -> None:
    ask(ledger, release, ALICE, quorum=1)
    ledger.votes.cast(release.release_id, GATE, airflow_user="alice", decision=Decision.REJECT, via="cli")
    happens(release.release_id, Kind.STEP_FAILED, GATE, message="rejected by alice", final=True)
    happens(release.release_id, Kind.RELEASE_CLOSED, "close", outcome="rejected", reason="Alice")
    drain(ledger, slack, NOW)
    assert "⛔ production" in plain(server.messages()[0])
    assert server.messages("#releases") == []


def test_no_mailbox_stays_in_an_error_and_a_long_one_without_any_is_read_at_once() -> None:
    assert nobody(f"550 <{'o' * 200}@shop.example> unknown") == "550 <…> unknown"
    assert nobody("x" * 1_000_000) == "x" * 1_000_000
