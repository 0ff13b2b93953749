"""A release that a newer one overtook at the gate: its tasks, its triggers, its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.severity import Severity
from relman_plugins.triggers.approval import ApprovalTrigger
from relman_plugins.triggers.waits import LockTrigger, WindowTrigger
from tests.steps import world as worlds
from tests.steps.world import Release, World, grades, told

GATE, WINDOW, FIRST = "production.approval", "production.window", "production.canary_50"
NOON = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
NIGHTS = 'windows: [{days: [mon, tue, wed, thu, fri, sat, sun], from: "22:00", to: "23:00", zone: UTC}]\n'


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    name = "environments/production.yaml"
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + NIGHTS)
    with time_machine.travel(NOON):
        yield


@pytest.fixture
def older(world: World, comms: list[Any]) -> Release:
    world.live("1.0.0")
    return world.open("1.1.0", "run-1").at_the_gate()


def approve_newer(older: Release) -> Release:
    newer = older.world.open("1.0.0", "run-2").at_the_gate()
    assert isinstance(newer.run(GATE), TaskDeferred)
    newer.vote(GATE)
    return newer


def ends_as_superseded(older: Release, step: str, waiting: TaskDeferred, by: Release) -> None:
    with pytest.raises(AirflowFailException, match=f"superseded by {by.id}"):
        older.resume(step, waiting, told(waiting))
    assert grades(older, step) == [Severity.WARNING]
    with pytest.raises(AirflowFailException, match="superseded"):
        older.run("close")
    (closed,) = older.events(Kind.RELEASE_CLOSED)
    assert (closed.data["outcome"], by.id in closed.data["reason"]) == ("superseded", True)
    assert older.world.weights() == {"1.0.0": 100}


def test_one_that_waits_for_people_ends(older: Release) -> None:
    waiting = older.run(GATE)
    assert isinstance(waiting.trigger, ApprovalTrigger)
    ends_as_superseded(older, GATE, waiting, approve_newer(older))


def test_one_that_comes_to_the_gate_too_late_ends_there(older: Release) -> None:
    newer = approve_newer(older)
    with pytest.raises(AirflowFailException, match=f"superseded by {newer.id}"):
        older.run(GATE)
    with pytest.raises(AirflowFailException, match="superseded"):
        older.run("close")


def test_one_that_waits_for_its_window_ends(older: Release) -> None:
    older.decided().finished(GATE)
    waiting = older.run(WINDOW)
    assert isinstance(waiting.trigger, WindowTrigger)
    ends_as_superseded(older, WINDOW, waiting, approve_newer(older))


def test_one_that_waits_for_its_turn_ends(older: Release) -> None:
    older.decided().finished(GATE, WINDOW)
    before = older.world.open("1.0.0", "run-0")
    older.world.ledger.locks.acquire("production", "checkout", before.id, 24 * 3600)
    with time_machine.travel(NOON + timedelta(hours=10, minutes=30)):
        waiting = older.run(FIRST)
        assert isinstance(waiting.trigger, LockTrigger)
        ends_as_superseded(older, FIRST, waiting, approve_newer(older))


def test_one_that_already_changes_the_environment_goes_on(older: Release) -> None:
    older.decided().finished(GATE, WINDOW)
    with time_machine.travel(NOON + timedelta(hours=10, minutes=30)):
        older.run(FIRST)
        approve_newer(older)
        assert older.world.weights() == {"1.0.0": 50, "1.1.0": 50}
        assert not older.events(Kind.RELEASE_SUPERSEDED)
