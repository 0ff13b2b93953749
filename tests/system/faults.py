"""Stories of what goes wrong while people are asked: nothing goes forward, and who waits is told why."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from time import time

from sqlalchemy import create_engine, text

from relman_plugins.notifications.buttons import APPROVE
from relman_plugins.testing.slack_interactive import Request
from tests.system import slack
from tests.system.conftest import Run, World
from tests.system.voting import API, Story
from tests.waiting import eventually


def too_few(world: World) -> None:
    """Whoever started it is one of the two who are needed: the gate says so wherever people look."""
    story = Story.begin(world, "few")
    run = story.run
    why = "can't be met: 1 of couple that nobody is left to give, since Root started it"
    assert story.state().impossible.startswith(why)
    run.asked(story.gate)
    asked = world.admin.required_action(run.dag_id, run.run_id, story.gate)
    assert "nobody is left to give" in str(asked["body"])
    shown = world.call("vera", "GET", f"{API}/releases/{run.release_id}")[1]
    assert [why in gate["impossible"] for gate in shown["gates"]] == [True]
    story.approved("page", "alice")
    story.refused("api", "admin", 403, "nobody approves their own release")
    assert (story.state().state, story.state().missing) == ("open", 1)
    abort = f"{API}/releases/{run.release_id}/abort"
    assert world.call("bob", "POST", abort, reason="bob starts it anew")[0] == 200
    assert run.outcome() == "aborted"
    assert "change.started" not in run.kinds()


def locked(world: World) -> None:
    """Somebody holds the ledger: nothing is lost of a moment, and of longer ones people are told.

    PostgreSQL's is held for this release alone, so that the other stories go on; SQLite's is so for all, and
    for as long as Slack waits at most.
    """
    story, alone = Story.begin(world, "locked"), world.ledger_url.startswith("postgresql")
    slack.asked(story.run, story.gate)
    with ThreadPoolExecutor(1) as page:
        with held(world, story.run):
            answer = page.submit(story.say, "page", "alice")
            slack.press(story.run, story.gate, "U02BOB", APPROVE)
            if alone:
                assert answer.result()[0] == 503
                slack.told(story.run, "U02BOB", "Nothing was recorded: the ledger does not answer")
        status, said = answer.result()
    if status == 503:
        # On a machine that is too busy for Slack's two seconds it is so with SQLite, too.
        assert "held by another writer for more than" in said
        story.approved("page", "alice")
    if alone:
        assert ("bob", "slack") not in story.voters()
        slack.press(story.run, story.gate, "U02BOB", APPROVE)
    assert story.run.outcome() == "succeeded"
    assert sorted(story.voters()) == [("alice", "airflow"), ("bob", "slack")]


@contextmanager
def held(world: World, run: Run) -> Iterator[None]:
    """Hold the ledger as a writer does that hangs in a transaction."""
    if world.ledger_url.startswith("sqlite"):
        with closing(sqlite3.connect(world.stack.folders.ledger, timeout=30, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("ROLLBACK")
        return
    engine = create_engine(world.ledger_url)
    with engine.begin() as conn:
        name = {"name": f"relman:release:{run.release_id}"}
        conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), name)
        yield
    engine.dispose()


def replayed(world: World) -> None:
    """What Slack did not sign, or signed long ago, is no vote; what it sends again is none a second time."""
    story = Story.begin(world, "replayed")
    slack.asked(story.run, story.gate)
    door, payload = slack.door(world), slack.pressed(story.run, story.gate, "U01ALICE")
    genuine = door.signed(payload)
    forged = [
        door.signed(payload, secret="guessed"),
        door.signed(payload, at=time() - 310),
        door.signed(payload, at=time() + 310),
        Request(genuine.body.replace(b"U01ALICE", b"U02BOB"), genuine.headers),
    ]
    assert [door.deliver(request).status for request in forged] == [401] * len(forged)
    assert story.voters() == []
    assert [door.deliver(genuine).status for _ in range(3)] == [200] * 3
    eventually(lambda: story.state().votes, "the vote of alice")
    assert world.call("alice", "DELETE", story.votes, comment="wait")[0] == 200
    assert door.deliver(genuine).status == 200
    story.approved("api", "bob")
    assert story.state().missing == 1
    slack.yes(story, "U01ALICE")
    assert story.run.outcome() == "succeeded"
    assert story.voters() == [("alice", "slack"), ("bob", "api"), ("alice", "slack")]
