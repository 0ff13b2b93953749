"""Buttons in Slack, pressed by members of a workspace, at a real API server."""

from __future__ import annotations

import json
import sqlite3
import time
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_sdk import WebClient  # noqa: TID253 - as relman posts

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.field import Field
from relman_plugins.domain.identity import Person
from relman_plugins.notifications.buttons import APPROVE, REJECT
from relman_plugins.notifications.outbox import drain
from relman_plugins.notifications.slack import Slack
from relman_plugins.testing.slack import TOKEN, channel_id
from relman_plugins.testing.slack_interactive import Answer, Request, buttons_of
from tests.plugin.airflow_server import GATE, SHAPE, Server, running, subject
from tests.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(600), pytest.mark.usefixtures("nothing_shown")]

CHANNEL = channel_id("rel-checkout")
ALICE, BOB, VERA, STRANGER = "U01ALICE", "U02BOB", "U03VERA", "U0STRANGER"


class Asked:
    """A release that waits at its gate, and its question in Slack."""

    def __init__(self, server: Server, version: str, **kwargs: Any) -> None:
        assert server.slack is not None
        self.server, self.slack = server, server.slack
        self.record = server.release(version, **kwargs)
        self.tell()
        self.ts = next(
            m["ts"] for m in reversed(self.messages()) if "What is approved" in json.dumps(m["blocks"])
        )

    def tell(self) -> None:
        client = WebClient(token=TOKEN, base_url=self.slack.base_url, retry_handlers=[])
        slack, more = Slack(client.api_call), 1
        while more:
            # What other tests left goes there, too.
            done = drain(self.server.ledger, slack, buttons=True, base_url="http://airflow.example")
            more = done.sent

    def messages(self) -> list[Any]:
        return [
            m for m in self.slack.messages() if self.record.release_id in json.dumps(m.get("metadata", ""))
        ]

    @property
    def question(self) -> Any:
        return next(m for m in self.messages() if m["ts"] == self.ts)

    @property
    def gate(self) -> Any:
        return self.server.ledger.votes.gate(self.record.release_id, GATE)

    def press(self, user: str, action: str = APPROVE) -> Answer:
        return self.slack.interactive.press(user, action, CHANNEL, self.ts)

    def request(self, user: str, action: str = APPROVE) -> Request:
        return self.slack.interactive.pressing(user, action, CHANNEL, self.ts)

    def refusals(self) -> list[tuple[str, str, str]]:
        events = self.server.ledger.events(self.record.release_id)
        found = [e for e in events if e.kind.value == "vote.refused"]
        return [(e.actor.id, e.data["code"], e.data["via"]) for e in found]

    def told(self, user: str, words: str) -> dict[str, Any]:
        """Wait for what only this member sees."""
        return eventually(
            lambda: next(
                (p for p in self.slack.interactive.private if p["user"] == user and words in p["text"]), None
            ),
            f"{words!r} among {self.slack.interactive.private[-3:]}",
        )


def test_a_press_is_a_vote_and_the_message_then_says_who_decided(server: Server) -> None:
    asked = Asked(server, "5.0.0")
    said = [b["text"]["text"] for b in buttons_of(asked.question)]
    assert said == ["Approve", "Approve later…", "Reject…"]
    said = asked.question["text"]
    for words in ("@U01ALICE", "checkout 5.0.0", "api 7 tests, 0 failed", "faster checkout", "production"):
        assert words in said
    assert asked.press(ALICE) == (200, "")
    assert (asked.gate.state, asked.gate.decided_by) == ("approved", "alice")
    assert [(v.person, v.name, v.via) for v in asked.gate.votes] == [("alice", "Alice Example", "slack")]
    told = asked.told(ALICE, "production.approval is approved")
    assert told["thread_ts"] == asked.question["thread_ts"]
    asked.tell()
    assert not list(buttons_of(asked.question))
    assert asked.question["text"].startswith("✅ production: approved by Alice Example")
    assert "artifact" in json.dumps(asked.question["blocks"])


def test_a_rejection_asks_why_and_shows_what_is_rejected(server: Server) -> None:
    asked = Asked(server, "5.0.1", quorum=2)
    assert asked.press(BOB, REJECT).status == 200
    ((view_id, view),) = asked.slack.interactive.views.items()
    shown = json.dumps(view)
    assert "5.0.1" in shown
    assert "sha256:aaaaaaaaaaaa" in shown
    assert asked.gate.votes == ()
    assert asked.slack.interactive.send(BOB, view_id, comment="prices are wrong") == (200, "")
    assert (asked.gate.state, asked.gate.comment) == ("rejected", "prices are wrong")
    assert asked.slack.interactive.views == {}
    asked.tell()
    assert asked.question["text"].startswith("⛔ production: rejected by Bob Example")


def test_what_is_wrong_with_a_form_is_said_in_the_form(server: Server) -> None:
    asked = Asked(server, "5.0.2", quorum=2)
    asked.press(BOB, REJECT)
    (view_id,) = asked.slack.interactive.views
    asked.press(BOB)
    answer = asked.slack.interactive.send(BOB, view_id, comment="no")
    assert "bob already said approve" in json.loads(answer.body)["errors"]["comment"]
    assert [v.decision for v in asked.gate.votes] == ["approve"]


def test_where_a_rule_asks_for_more_than_yes_approve_opens_a_form(server: Server) -> None:
    change = Field(name="change", title="Change", pattern="CHG[0-9]+", description="Its number")
    risk = Field(name="risk", enum=("low", "high"))
    rule = Rule(id="managers", people=("alice", "bob"), quorum=1, comment="required", fields=(change, risk))
    asked = Asked(server, "5.0.6", rules=(rule,))
    assert [b["text"]["text"] for b in buttons_of(asked.question)] == ["Approve…", "Reject…"]
    assert asked.press(ALICE).status == 200
    ((view_id, view),) = asked.slack.interactive.views.items()
    assert "sha256:aaaaaaaaaaaa" in json.dumps(view)
    assert [b["block_id"] for b in view["blocks"] if b["type"] == "input"] == [
        "field.change", "field.risk", "effect_at", "comment",
    ]  # fmt: skip

    def send(**fields: str) -> str:
        return asked.slack.interactive.send(ALICE, view_id, **fields).body

    filled = {"field.change": "CHG7", "field.risk": "low"}
    assert "a comment" in json.loads(send(**filled))["errors"]["comment"]
    assert (
        "CHG[0-9]+"
        in json.loads(send(**filled | {"field.change": "7", "comment": "ok"}))["errors"]["comment"]
    )
    assert asked.gate.votes == ()
    assert send(**filled, comment="as planned") == ""
    assert asked.gate.state == "approved"
    (vote,) = asked.gate.votes
    assert (vote.comment, vote.answers, vote.via) == (
        "as planned", {"change": "CHG7", "risk": "low"}, "slack",
    )  # fmt: skip


def test_the_message_follows_votes_that_were_cast_elsewhere(server: Server) -> None:
    asked = Asked(server, "5.0.3", quorum=2)
    path = f"/relman/api/v1/releases/{asked.record.release_id}/gates/{GATE}/votes"
    body = {"decision": "approve", "digest": asked.gate.subject_digest}
    # Nobody can pretend to come from Slack but Slack.
    said = server.ask("POST", path, "bob", json=body, headers={"X-Relman-Via": "slack"})
    assert (said.status_code, asked.gate.votes[0].via) == (201, "api")
    asked.tell()
    assert "waits for 1 more of 2 approvals of" in asked.question["text"]
    assert "approved by Bob Example" in asked.question["text"]
    assert list(buttons_of(asked.question))
    assert server.ask("POST", path, "alice", json=body).status_code == 201
    asked.tell()
    assert not list(buttons_of(asked.question))


def test_a_request_that_comes_again_does_nothing_and_a_second_press_is_told_so(server: Server) -> None:
    asked = Asked(server, "5.0.4", quorum=2)
    request = asked.request(ALICE)
    deliver = asked.slack.interactive.deliver
    assert deliver(request).status == 200
    asked.told(ALICE, "1 more of 2 approvals needed")
    assert [deliver(request).status for _ in range(3)] == [200] * 3
    assert asked.press(ALICE).status == 200
    asked.told(ALICE, "alice already said approve")
    assert len(asked.slack.interactive.private) == 2
    assert len(asked.gate.votes) == 1


def test_what_slack_did_not_sign_is_no_vote(server: Server) -> None:
    asked = Asked(server, "5.0.5")
    people = asked.slack.interactive
    good = asked.request(ALICE)
    payload = json.dumps({"type": "block_actions", "user": {"id": ALICE}, "actions": []})
    now = time.time()
    signature, stamp = "X-Slack-Signature", "X-Slack-Request-Timestamp"
    forged = [
        people.signed(payload, secret="guessed"),
        people.signed(payload, at=now - 310),
        people.signed(payload, at=now + 310),
        Request(good.body + b"&x=1", good.headers),
        Request(good.body.replace(ALICE.encode(), BOB.encode()), good.headers),
        Request(good.body, {**good.headers, stamp: str(int(now) - 1)}),
        Request(good.body, {**good.headers, stamp: "now"}),
        Request(good.body, {**good.headers, stamp: "9" * 5000}),
        Request(good.body, {**good.headers, signature: good.headers[signature].replace("v0=", "v1=")}),
        Request(good.body, {**good.headers, signature: ""}),
        Request(good.body, {k: v for k, v in good.headers.items() if k != signature}),
        Request(good.body, {k: v for k, v in good.headers.items() if k != stamp}),
        Request(b"\xff\xfe" + good.body, good.headers),
    ]
    assert [people.deliver(request).status for request in forged] == [401] * len(forged)
    for seconds, words in ((-310, "before this server's time"), (310, "after this server's time")):
        assert words in people.deliver(people.signed(payload, at=now + seconds)).body
        assert words not in people.deliver(people.signed(payload, secret="guessed", at=now + seconds)).body
    json_kind = Request(good.body, {**good.headers, "Content-Type": "application/json"})
    assert people.deliver(json_kind).status == 415
    assert people.deliver(Request(b"payload=" + b"x" * 300_000, good.headers)).status == 413
    assert server.ask("GET", "/relman/slack/interactivity", "admin").status_code == 405
    assert asked.gate.votes == ()
    assert asked.refusals() == []


def test_the_door_for_slack_is_the_only_one_without_a_login(server: Server) -> None:
    for path in ("/relman/slack/", "/relman/slack/other", "/relman/slack/../api/v1/releases"):
        assert server.ask("POST", path).status_code in (401, 404, 405), path


@pytest.mark.parametrize(
    ("user", "code", "who", "words"),
    [
        (STRANGER, "unknown_slack_user", "slack:U0STRANGER", "ask one of: Alice Example"),
        (VERA, "not_authorised", "vera", "vera may not change releases of release__checkout in Airflow"),
    ],
)
def test_who_may_not_answer_is_told_in_private_and_it_is_on_record(
    server: Server, user: str, code: str, who: str, words: str
) -> None:
    asked = Asked(server, f"5.1.{len(user)}")
    for action in (APPROVE, REJECT):
        assert asked.press(user, action).status == 200
    asked.told(user, words)
    assert asked.refusals() == [(who, code, "slack")]
    assert asked.gate.votes == ()
    assert asked.slack.interactive.views == {}


def test_a_user_whom_airflow_no_longer_has_is_refused(server: Server) -> None:
    gone = Person(id="gone", airflow="gone", name="Gone Example", slack="U0GONE")
    asked = Asked(server, "5.1.20", people=(gone,))
    asked.press("U0GONE")
    asked.told("U0GONE", "no active user")
    assert asked.refusals() == [("gone", "not_authorised", "slack")]


def test_a_slack_id_of_two_people_names_nobody(server: Server) -> None:
    twins = tuple(Person(id=u, airflow=u, name=u, slack=ALICE) for u in ("alice", "bob"))
    asked = Asked(server, "5.1.21", people=twins, quorum=2)
    assert asked.press(ALICE) == (200, "")
    asked.told(ALICE, "several people")
    assert asked.gate.votes == ()
    assert asked.refusals() == [(f"slack:{ALICE}", "unknown_slack_user", "slack")]


def test_where_the_environment_insists_on_a_link_the_stored_plan_says_so(server: Server) -> None:
    (environment,) = SHAPE.environments
    strict = SHAPE.model_copy(
        update={"environments": (environment.model_copy(update={"slack_votes": "link"}),)}
    )
    asked = Asked(server, "5.1.22", shape=strict)
    assert not list(buttons_of(asked.question))
    assert "Answer in Airflow" in json.dumps(asked.question["blocks"])
    # A button from elsewhere, signed as Slack would sign it.
    other = Asked(server, "5.1.23")
    payload = json.loads(_payload(other.request(ALICE)))
    value = json.loads(payload["actions"][0]["value"])
    value |= {"release": asked.record.release_id, "digest": asked.gate.subject_digest}
    payload["actions"][0]["value"] = json.dumps(value)
    assert asked.slack.interactive.deliver(asked.slack.interactive.signed(payload)).status == 200
    asked.told(ALICE, "is not answered in Slack")
    assert asked.gate.votes == ()
    assert asked.refusals() == [("alice", "link_only", "slack")]


def test_a_button_of_an_older_question_approves_nothing(server: Server) -> None:
    asked = Asked(server, "5.1.24")
    old = asked.request(ALICE)
    server.ledger.votes.open_gate(
        asked.record.release_id,
        GATE,
        subject=subject(asked.record) | {"artifact_digest": "sha256:" + "f" * 64},
        people=asked.gate.people,
        quorum=1,
        timeout_s=600,
        on_timeout="reject",
    )
    assert asked.slack.interactive.deliver(old).status == 200
    asked.told(ALICE, "is not what gate")
    assert asked.gate.votes == ()
    asked.tell()
    assert not list(buttons_of(asked.question))
    assert "asked about anew" in asked.question["text"]


def test_a_ledger_that_is_slow_loses_no_vote(server: Server) -> None:
    asked = Asked(server, "5.1.25")
    with sqlite3.connect(server.home / "relman" / "ledger.db", timeout=30, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        # Slack's own patience is over after three seconds, and it would say so.
        assert asked.press(ALICE) == (200, "")
        db.execute("ROLLBACK")
    asked.told(ALICE, "production.approval is approved")
    assert asked.gate.state == "approved"


def test_a_slack_that_does_not_answer_changes_no_vote(server: Server) -> None:
    asked = Asked(server, "5.1.26")
    asked.slack.fault("server_error", method="chat.postEphemeral")
    assert asked.press(ALICE) == (200, "")
    assert asked.gate.state == "approved"
    closed = Asked(server, "5.1.27")
    closed.slack.fault("expired_trigger_id", method="views.open")
    assert closed.press(ALICE, REJECT).status == 200
    closed.told(ALICE, "did not open the form")
    assert closed.gate.state == "open"


def test_a_slack_that_hangs_takes_no_place_from_votes(server: Server) -> None:
    asked = Asked(server, "5.1.28")
    asked.slack.fault("hang", count=60, method="chat.postEphemeral", seconds=12)
    # More words for people than may wait: what is over is left unsaid.
    assert {asked.press(STRANGER).status for _ in range(50)} == {200}
    assert asked.press(ALICE) == (200, "")
    assert asked.gate.state == "approved"
    asked.slack.api.faults.clear()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(
    change=st.sampled_from(
        ["type", "user", "actions", "container", "view", "trigger_id", "value", "metadata", "state", "raw"]
    ),
    to=_json | st.text(max_size=3000),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_hostile_payloads_are_no_vote_and_no_error(change: str, to: Any) -> None:
    harmless = change in ("trigger_id", "container", "view")
    asked = _hostile("5.9.1" if harmless else "5.9.0")
    payload = json.loads(_payload(asked.request(ALICE)))
    if change == "value":
        payload["actions"][0]["value"] = to
    elif change in ("metadata", "state"):
        view = {"callback_id": "relman.vote", "private_metadata": "{}", "state": {"values": {}}}
        payload |= {"type": "view_submission", "view": view | {f"private_{change}": to, change: to}}
    elif change != "raw":
        payload[change] = to
    request = asked.slack.interactive.signed(str(to) if change == "raw" else payload)
    assert asked.slack.interactive.deliver(request).status in (200, 400)
    assert harmless or asked.gate.votes == ()


@cache
def _hostile(version: str) -> Asked:
    return Asked(running(), version, quorum=2)


def _payload(request: Request) -> str:
    from urllib.parse import parse_qs

    return parse_qs(request.body.decode())["payload"][0]
