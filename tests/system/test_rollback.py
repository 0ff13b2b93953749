"""The morning after, on a real Airflow: a release that succeeded turns out to be bad.

That Airflow has its files from a bundle with versions, so a spec that is edited is tried here, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cli.command import relman
from tests.system.conftest import Run, World, slack_transcript
from tests.system.versions import (
    GATE,
    approved,
    bundle_of,
    snapshots,
    timeout_of,
    version_of,
    waiting_while_edited,
)
from tests.waiting import eventually

NAME = "back"
IN_USE = "from relman_plugins.bundles.in_use import in_use; print(*in_use('releases'))"


@pytest.fixture(scope="module")
def airflow_settings() -> dict[str, str]:
    return snapshots()


@pytest.fixture(scope="module")
def reparse_s() -> int:
    return 2


def test_an_edited_spec_is_the_next_releases(world: World) -> None:
    """The one that waits at its gate ends by the spec that it started with."""
    run = waiting_while_edited(world)
    newer = world.start("gated", "1.2.0")
    newer.asked(GATE)
    asked = [sys.executable, "-c", IN_USE]
    needed = subprocess.run(asked, env=world.stack.env, check=True, capture_output=True, text=True).stdout
    assert {bundle_of(run)["version"], version_of(world)} <= set(needed.split())
    approved(run)
    assert timeout_of(newer) == 7200
    assert bundle_of(newer)["version"] == version_of(world)
    _, health = world.call("vera", "GET", "/relman/api/v1/health")
    assert health["bundle"] == bundle_of(newer) | {"specs_elsewhere": False}
    assert newer.answer("alice", GATE, "Reject")[0] == 200
    assert newer.outcome() == "rejected"


def live(world: World) -> dict[str, int]:
    seen = world.seen(NAME, NAME)
    return {s.revision.version: s.weight for s in (seen.stable, seen.candidate) if s}


@pytest.fixture(scope="module")
def shipped(world: World) -> list[Run]:
    """1.1.0, then 1.2.0, both released well; 1.0.0 was there before relman."""
    world.found(NAME, NAME)
    world.users(NAME, NAME)
    done = []
    for version in ("1.1.0", "1.2.0"):
        run = world.start(NAME, version)
        assert run.outcome() == "succeeded"
        run.unlocked()
        done.append(run)
    return done


def as_user(world: World, user: str) -> dict[str, str]:
    return {"RELMAN_URL": world.stack.addresses.airflow, "RELMAN_USER": user, "RELMAN_PASSWORD": user}


def test_who_starts_the_dag_by_hand_gets_a_red_run_and_nothing_else(world: World, shipped: list[Run]) -> None:
    conf = {"release": shipped[1].release_id, "request": f"{shipped[1].release_id}:rollback_requested:back:1"}
    run_id = world.admin.trigger("relman_rollback", conf)
    eventually(lambda: world.admin.run_state("relman_rollback", run_id) == "failed", "a red run")
    assert live(world) == {"1.2.0": 100}


def test_two_people_roll_back_at_the_same_time_and_it_happens_once(world: World, shipped: list[Run]) -> None:
    bad = shipped[1]
    dry = relman("rollback", bad.release_id, "--dry-run", **as_user(world, "vera"))
    assert (dry.returncode, "back to      1.1.0" in dry.stdout) == (0, True), dry.stderr
    refused = relman("rollback", bad.release_id, "--reason", "slow", **as_user(world, "vera"))
    assert (refused.returncode, live(world)) == (1, {"1.2.0": 100})

    def asks(user: str) -> object:
        return relman("rollback", bad.release_id, "--reason", "slow", "--watch", **as_user(world, user))

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(asks, ("alice", "bob")))
    assert [b.returncode for b in both] == [0, 0], [b.stderr for b in both]
    assert live(world) == {"1.1.0": 100}
    assert len(bad.events("release.rollback_requested")) == 1
    assert len(bad.events("rollback.finished")) == 1
    assert bad.events("release.closed")[0].data["outcome"] == "succeeded"
    again = relman("rollback", bad.release_id, "--reason", "slow", **as_user(world, "bob"))
    assert (again.returncode, "back at 1.1.0 already" in again.stderr) == (1, True)
    assert world.ledger.locks.held() == []
    assert [c.check for c in world.ledger.verify() if c.problems] == []
    told = f"rolls {NAME} back to"
    eventually(lambda: told in json.dumps(slack_transcript(world)), "the word in Slack", 240)


def test_a_release_in_flight_is_not_rolled_back_and_keeps_others_from_it(
    world: World, shipped: list[Run]
) -> None:
    flying = world.ledger.open_release(
        plan=world.ledger.release(shipped[0].release_id).plan,
        dag_id=shipped[0].dag_id,
        run_id="in-flight",
        started_by=world.ledger.release(shipped[0].release_id).started_by,
        conf={},
    )
    world.ledger.locks.acquire(NAME, NAME, flying.release_id, 600)
    try:
        for release, said in ((flying.release_id, "relman abort"), (shipped[0].release_id, "is in flight")):
            done = relman("rollback", release, "--reason", "slow", **as_user(world, "bob"))
            assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    finally:
        world.ledger.locks.release(NAME, NAME, flying.release_id)
    assert live(world) == {"1.1.0": 100}
    done = relman(
        "rollback", shipped[0].release_id, "--reason", "all bad", "--watch", **as_user(world, "bob")
    )
    assert done.returncode == 0, done.stderr
    assert live(world) == {"1.0.0": 100}
