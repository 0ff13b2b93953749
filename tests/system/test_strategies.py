"""Rolling and blue/green on a real Airflow: to the end, taken back by a database's numbers, by a person."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.system.conftest import World
from tests.waiting import eventually

PIPELINES = ("waves", "switch")


@pytest.fixture(scope="module")
def airflow_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A database of orders, of which every third failed in the bad version."""
    path = tmp_path_factory.mktemp("orders") / "orders.db"
    rows = [("waves", "1.1.0", 0)] * 9 + [("waves", "1.2.0", 0), ("waves", "1.2.0", 0), ("waves", "1.2.0", 1)]
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (environment text, version text, failed int)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    return {"AIRFLOW_CONN_ORDERS": json.dumps({"conn_type": "sqlite", "host": str(path)})}


@pytest.fixture(scope="module", autouse=True)
def users(world: World) -> None:
    for name in PIPELINES:
        world.found(name, name, replicas=2)
        world.users(name, name, rate=15)


@pytest.fixture(autouse=True)
def as_found(world: World, users: None) -> None:
    for name in PIPELINES:
        world.found(name, name, replicas=2)


def live(world: World, name: str) -> tuple[str, int] | None:
    """Return the version that is alone there, and how many of its replicas have proven themselves."""
    seen = world.seen(name, name)
    alone = seen.stable and seen.candidate is None
    return (seen.stable.revision.version, seen.stable.ready) if alone else None


def test_both_bring_a_good_version_in(world: World) -> None:
    waves, switch = (world.start(name, "1.1.0") for name in PIPELINES)

    started = switch.until("change.finished", "switch.switch")
    assert started.data["desired"]["candidate_weight"] == 100
    switch.parked("switch.keep")
    seen = world.seen("switch", "switch")
    standing = {s.revision.version: s.ready for s in (seen.stable, seen.candidate) if s}
    assert standing == {"1.0.0": 2, "1.1.0": 2}, "the old version stands by at full size"

    assert waves.outcome() == "succeeded"
    asked = [e.data["desired"] for e in waves.events("change.finished")]
    assert [(d["stable_replicas"], d["candidate_replicas"]) for d in asked] == [
        (2, 1),
        (1, 1),
        (1, 2),
        (2, 0),
    ]
    assert switch.outcome() == "succeeded"
    shifts = [(e.step, e.data["desired"]["candidate_weight"]) for e in switch.events("change.finished")]
    assert shifts == [("switch.preview", 0), ("switch.switch", 100), ("switch.keep", 0)]
    for name in PIPELINES:
        eventually(lambda name=name: live(world, name) == ("1.1.0", 2), f"1.1.0 alone in {name}")


def test_a_bad_one_is_rolled_back_by_its_monitor_and_a_kept_one_by_a_person(world: World) -> None:
    waves, switch = world.start("waves", "1.2.0"), world.start("switch", "1.3.0")

    switch.until("change.finished", "switch.switch")
    switch.parked("switch.keep")
    path = f"/relman/api/v1/releases/{switch.release_id}/abort"
    status, said = world.call("bob", "POST", path, reason="wrong colour")
    assert status < 300, said
    # The process that waits takes the traffic back, before any task runs.
    switch.until("traffic.withdrawn", "switch.keep")

    assert waves.outcome() == "rolled_back"
    seen = waves.until("analysis.finished", "waves.monitor").data
    assert (seen["verdict"], seen["reason"][:29]) == ("fail", "errors: 0.3333 is above 0.05 ")
    assert switch.outcome() == "aborted"
    assert "wrong colour" in switch.events("release.closed")[0].data["reason"]
    for name in PIPELINES:
        eventually(lambda name=name: live(world, name) == ("1.0.0", 2), f"1.0.0 alone in {name}")
    for run in (waves, switch):
        run.unlocked()
