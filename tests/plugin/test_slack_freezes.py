"""The line, stopped and started again by what members of a workspace type, at a real API server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest

from relman_plugins.testing.slack import channel_id
from relman_plugins.testing.slack_interactive import Request
from tests.plugin.airflow_server import SHAPE, Server
from tests.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(600), pytest.mark.usefixtures("nothing_shown")]

CHANNEL = channel_id("releases")
ALICE, VERA, STRANGER = "U01ALICE", "U03VERA", "U0STRANGER"


class Line:
    """The line, as members of the workspace see it."""

    def __init__(self, server: Server) -> None:
        assert server.slack is not None
        self.server, self.people, self.ledger = server, server.slack.interactive, server.ledger

    def told(self, user: str, text: str) -> str:
        """Type a command, and return what that member alone is told."""
        answer = self.people.type(user, text, CHANNEL)
        assert answer.status == 200, answer
        said = json.loads(answer.body)
        assert said["response_type"] == "ephemeral"
        return str(said["blocks"][0]["text"]["text"])

    @property
    def frozen(self) -> list[tuple[str, str, str, str]]:
        found = self.ledger.freezes.on()
        return [(f.environment or f.pipeline, f.actor.id, f.actor.via, f.reason) for f in found]


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    server.release("6.0.0")
    yield Line(server)
    for freeze in server.ledger.freezes.on():
        scope = {"environment": freeze.environment, "pipeline": freeze.pipeline, "labels": freeze.labels}
        server.ledger.freezes.thaw(**scope, reason="the test is over", actor=freeze.actor)


def test_the_line_is_stopped_shown_and_started_again(line: Line) -> None:
    waiting = line.server.release("6.0.1")
    why = "it's <!here> & *now*"
    said = line.told(ALICE, f"freeze --environment production --until 2999-01-01T00:00Z --reason {why}")
    told = "everything in production is frozen until 2999-01-01 00:00 UTC by alice: "
    told += "it's &lt;!here&gt; &amp; ∗now∗"
    assert said == told
    assert line.frozen == [("production", "alice", "slack", why)]
    path = f"/relman/api/v1/releases/{waiting.release_id}"
    shown = line.server.ask("GET", path, "vera").json()["freezes"]
    assert [(f["actor"]["slack"], f["reason"]) for f in shown] == [(ALICE, why)]
    line.told(ALICE, "freeze --pipeline checkout --unless-approved --reason audit")
    assert line.told(VERA, "freezes").splitlines() == [
        told,
        "checkout in every environment is frozen, unless an exception is approved, by alice: audit",
    ]
    said = line.told(ALICE, "thaw --environment production --reason over")
    assert said.startswith("thawed: everything in production; still frozen: checkout in every environment")
    assert "just that is not frozen" in line.told(ALICE, "thaw --environment production --reason over")
    assert line.told(ALICE, "thaw --pipeline checkout --reason over").endswith("nothing is frozen any more")
    assert line.told(VERA, "freezes") == "nothing is frozen"


def test_it_takes_the_rights_that_the_route_asks_for(line: Line) -> None:
    for scope in ("--pipeline checkout", "--environment production", ""):
        assert "nobody whom the newest releases" in line.told(STRANGER, f"freeze {scope} --reason x")
        said = line.told(VERA, f"freeze {scope} --reason x")
        assert said.startswith("Nothing was done: vera may not change")
    assert line.frozen == []
    line.told(ALICE, "freeze --pipeline checkout --reason x")
    assert "vera may not change" in line.told(VERA, "thaw --pipeline checkout --reason x")
    assert "nobody whom the newest releases" in line.told(STRANGER, "freezes")
    assert len(line.frozen) == 1


def test_what_is_misspelt_or_refused_is_said_with_what_can_be_typed(line: Line) -> None:
    said = line.told(ALICE, "freeze --environment production")
    assert "required: --reason" in said
    assert "/relman freeze --environment production" in said
    line.told(ALICE, "freeze --pipeline checkout --reason x")
    said = line.told(ALICE, "freeze --pipeline checkout --until 2999-01-01T00:00Z --reason y")
    assert "A shorter freeze would lift that one: thaw it first" in said
    assert "would have ended" in line.told(ALICE, "freeze --until 2020-01-01T00:00Z --reason y")
    assert [reason for *_, reason in line.frozen] == ["x"]


def test_the_same_request_counts_once(line: Line) -> None:
    request = line.people.typing(ALICE, "freeze --pipeline checkout --reason x", CHANNEL)
    assert "is frozen" in line.people.deliver(request, line.people.commands).body
    line.told(ALICE, "thaw --pipeline checkout --reason over")
    assert line.people.deliver(request, line.people.commands) == (200, "")
    assert line.frozen == []


def test_what_slack_did_not_sign_is_no_command(line: Line) -> None:
    good = line.people.typing(ALICE, "freeze --reason x", CHANNEL)
    forged = [
        line.people.typing(ALICE, "freeze --reason x", CHANNEL, secret="guessed"),
        Request(good.body.replace(b"freeze", b"thaw"), good.headers),
        Request(good.body, {"Content-Type": good.headers["Content-Type"]}),
    ]
    assert [line.people.deliver(r, line.people.commands).status for r in forged] == [401] * 3
    # A press is no command, and a command no press.
    press = line.people.signed({"type": "block_actions", "user": {"id": ALICE}, "actions": []})
    assert line.people.deliver(press, line.people.commands).status == 400
    assert line.people.deliver(good).status == 400
    assert line.frozen == []


def test_who_wants_people_to_have_signed_in_is_not_thawed_from_slack(line: Line) -> None:
    (environment,) = SHAPE.environments
    strict = environment.model_copy(update={"slack_votes": "link"})
    line.server.release("6.0.2", shape=SHAPE.model_copy(update={"environments": (strict,)}))
    for scope in ("--environment production", "--pipeline checkout"):
        assert "is frozen" in line.told(ALICE, f"freeze {scope} --reason x")
        assert "production has slack_votes: link" in line.told(ALICE, f"thaw {scope} --reason x")
    assert len(line.frozen) == 2


def test_a_ledger_that_is_slow_loses_no_freeze(line: Line) -> None:
    with sqlite3.connect(line.server.home / "relman" / "ledger.db", timeout=30, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        assert "is still at it" in line.told(ALICE, "freeze --pipeline checkout --reason x")
        db.execute("ROLLBACK")
    eventually(
        lambda: [p for p in line.people.private if p["user"] == ALICE and "is frozen" in p["text"]],
        "the freeze is told",
    )
    assert len(line.frozen) == 1
