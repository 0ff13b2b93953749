"""What the record holds, what it must not hold, and what starts or goes on without a person."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

from relman_plugins.testing.stack_config import SLACK_TOKEN
from tests.system.conftest import World, slack_transcript
from tests.waiting import eventually

GATE = "live.approval"


def test_a_release_goes_on_when_somebody_breaks_its_spec(world: World) -> None:
    run = world.start("gated")
    run.asked(GATE)
    spec = world.specs / "gated.yaml"
    before = spec.read_text()
    try:
        spec.write_text("kind: [")
        eventually(lambda: world.admin.has_dag("relman_invalid__gated") or _paused(world), "the sentinel")
        assert run.answer("alice", GATE, "Approve")[0] == 200
        assert run.outcome() == "succeeded"
        assert run.state() == "success"
    finally:
        spec.write_text(before)


def _paused(world: World) -> bool:
    status, dag = world.call("admin", "GET", "/api/v2/dags/relman_invalid__gated")
    return status == 200 and dag["is_paused"]


def test_a_dry_run_changes_nothing_and_asks_nobody(world: World) -> None:
    run = world.start("gated", dry_run=True)
    assert run.outcome() == "succeeded"
    assert run.state() == "success"
    assert not {"change.started", "gate.opened", "artifact.built", "lock.acquired"} & set(run.kinds())


def test_a_schedule_starts_a_release_of_the_version_in_its_file(world: World) -> None:
    release = eventually(lambda: next(iter(world.ledger.releases(pipeline="timed")), None), "the train", 240)
    assert release.version == (world.stack.repo / "checkout" / "VERSION").read_text().strip()
    assert release.started_by.id == "schedule"
    due = datetime.fromisoformat(release.run_id.removeprefix("scheduled__"))
    assert due < release.opened_at < due + timedelta(minutes=5), "not at its time but as soon as it was seen"


def test_no_secret_leaves_its_connection(world: World) -> None:
    """The Slack token stands for all: it is nowhere but in the connection, whatever has run before."""
    assert world.ledger.last_event_id() > 0
    assert slack_transcript(world)
    folders = world.stack.folders
    events = [e for r in world.ledger.releases(limit=500) for e in world.ledger.events(r.release_id)]
    assert not [e for e in events if SLACK_TOKEN in e.model_dump_json()]
    with sqlite3.connect(f"file:{folders.airflow / 'airflow.db'}?mode=ro", uri=True) as db:
        assert not [line for line in db.iterdump() if SLACK_TOKEN in line]
    logs = [p for root in (folders.logs, folders.airflow / "logs") for p in root.rglob("*.log")]
    assert not [p for p in logs if SLACK_TOKEN in _text(p)]


def _text(path: Path) -> str:
    return path.read_text(errors="replace")
