"""A stage that soaks: waited for without a worker, not begun anew, aborted at once; a ticket it needs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.ledger.api import Busy, Lock
from relman_plugins.steps.base import LOCK_TTL_S
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.triggers.waits import SoakTrigger
from tests.steps import world as worlds
from tests.steps.world import Release, World

SOAK = "staging.soak"


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = worlds.SPECS["checkout.yaml"].replace("[one, two]\n", "[one, two]\n    soak: 30m\n")
    text = text.replace("gates: [", "gates: [{change_ticket: required}, ")
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)


def begun(world: World, **options: Any) -> Release:
    world.live("1.1.0", "staging")
    before = ("open", "build", "staging.deploy", "staging.one", "staging.two")
    return world.open(**options).finished(*before)


def answer(deferred: TaskDeferred) -> Any:
    async def first() -> Any:
        trigger = deferred.trigger
        assert isinstance(trigger, SoakTrigger)
        trigger.minimum_s = 0.0
        async for event in trigger.run():
            return event.payload
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(first())


def test_it_waits_for_what_is_left_and_then_goes_on(world: World) -> None:
    release = begun(world)
    waiting = release.run(SOAK)
    assert isinstance(waiting, TaskDeferred)
    until = datetime.fromisoformat(waiting.trigger.until)
    assert timedelta(minutes=29) < until - datetime.now(UTC) <= timedelta(minutes=30)
    again = release.run(SOAK, try_number=2)
    assert isinstance(again, TaskDeferred)
    assert again.trigger.until == waiting.trigger.until
    with time_machine.travel(until + timedelta(seconds=1)):
        assert answer(waiting) == {"state": "over"}
        done = release.resume(SOAK, waiting, {"state": "over"})
    assert done["message"] == "stayed in staging for 30m"
    assert world.ledger.locks.held(release.id) == []


def test_one_of_three_days_keeps_the_lock_and_the_next_release_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = worlds.SPECS["checkout.yaml"].replace("soak: 30m", "soak: 3d")
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)
    release = begun(world)
    locks = world.ledger.locks
    lock = locks.acquire("staging", "checkout", release.id, LOCK_TTL_S)
    assert isinstance(lock, Lock)
    waiting = release.run(SOAK)
    assert isinstance(waiting, TaskDeferred)
    other = world.open("1.3.0", "run-2")
    begin = datetime.now(UTC)
    for hours in range(1, 72, 6):
        with time_machine.travel(begin + timedelta(hours=hours), tick=False):
            Housekeeper(world.ledger, Running()).round()
            assert isinstance(locks.acquire("staging", "checkout", other.id, LOCK_TTL_S), Busy)
    assert [held.token for held in locks.held(release.id)] == [lock.token]
    with time_machine.travel(begin + timedelta(hours=73)):
        release.resume(SOAK, waiting, {"state": "over"})
    assert locks.held(release.id) == []


class Running:
    """An Airflow in which every run goes on."""

    def exists(self, dag_id: str, run_id: str) -> bool:
        return True

    def ended(self, dag_id: str, run_id: str) -> bool:
        return False

    def working(self, dag_id: str, run_id: str) -> bool:
        return True

    def succeeded(self, dag_id: str, run_id: str, task_ids: list[str]) -> set[str]:
        return set()


def test_an_abort_ends_it_at_once(world: World) -> None:
    release = begun(world)
    waiting = release.run(SOAK)
    assert isinstance(waiting, TaskDeferred)
    release.person(Kind.ABORT_REQUESTED)
    assert answer(waiting) == {"state": "aborted"}
    with pytest.raises(AirflowFailException, match="asked to abort"):
        release.resume(SOAK, waiting, {"state": "aborted"})
    assert Kind.STEP_REFUSED in release.kinds()


def test_nothing_changes_without_the_ticket(world: World) -> None:
    without = world.open().approved()
    with pytest.raises(AirflowFailException, match="a change ticket is required, and the"):
        without.run("production.canary_50")
    assert Kind.CHANGE_STARTED not in without.kinds()


def test_with_the_ticket_it_goes_on(world: World) -> None:
    release = world.open(run_id="run-2", ticket="https://tracker.example/CHG-42").approved()
    release.run("production.canary_50")
    assert Kind.CHANGE_STARTED in release.kinds()
