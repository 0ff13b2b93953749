"""Waiting for a release window, undisturbed and across a hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.triggers.waits import HoldTrigger, WindowTrigger
from tests.steps import world as worlds
from tests.steps.world import Release, World, told

WINDOW = "production.window"
NOON = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
NIGHTS = """
windows: [{days: [mon, tue, wed, thu, fri, sat, sun], from: "22:00", to: "23:00", zone: UTC}]
window_timeout: 24h
"""
BEFORE = ("open", "build", "staging.deploy", "staging.one", "staging.two", "production.approval")


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "environments/production.yaml"
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + NIGHTS)


@pytest.fixture
def release(world: World) -> Release:
    return world.open().finished(*BEFORE)


def at(hours: float) -> Any:
    return time_machine.travel(NOON + timedelta(hours=hours))


def waits(result: Any) -> TaskDeferred:
    assert isinstance(result, TaskDeferred)
    assert isinstance(result.trigger, WindowTrigger)
    return result


def test_it_goes_on_in_the_window_and_gives_up_without_one(release: Release) -> None:
    with at(0):
        waiting = waits(release.run(WINDOW))
    with at(10.5):
        assert told(waiting) == {"state": "open"}
        assert "the window is open" in release.resume(WINDOW, waiting, {"state": "open"})["message"]
    with at(24):
        assert told(waiting) == {"state": "expired"}


def test_what_is_held_at_the_end_does_not_give_up_and_waits_anew(release: Release) -> None:
    with at(0):
        waiting = waits(release.run(WINDOW))
    release.person(Kind.RELEASE_HELD)
    with at(24):
        event = told(waiting)
        assert event == {"state": "held"}
        held = release.resume(WINDOW, waiting, event)
        assert isinstance(held, TaskDeferred)
        assert isinstance(held.trigger, HoldTrigger)
    with at(40):
        release.person(Kind.RELEASE_RESUMED)
        again = waits(release.resume(WINDOW, held, {"state": "resumed"}))
        resumed = release.events(Kind.RELEASE_RESUMED)[0].at
        assert datetime.fromisoformat(again.trigger.expires_at) == resumed + timedelta(hours=24)
    ends = [e.data["gives_up_at"] for e in release.events(Kind.WINDOW_WAITED)]
    assert ends == [waiting.trigger.expires_at, again.trigger.expires_at]
    with at(64.1), pytest.raises(AirflowFailException, match="time to wait for the window is over"):
        release.resume(WINDOW, again, told(again))


def test_a_hold_that_ended_within_the_wait_counts_too(release: Release) -> None:
    with at(0):
        waiting = waits(release.run(WINDOW))
        release.person(Kind.RELEASE_HELD)
    with at(23):
        # The one opening of the wait passed unused.
        release.person(Kind.RELEASE_RESUMED)
    with at(24):
        event = told(waiting)
        assert event == {"state": "resumed"}
        again = waits(release.resume(WINDOW, waiting, event))
    resumed = release.events(Kind.RELEASE_RESUMED)[0].at
    assert datetime.fromisoformat(again.trigger.expires_at) == resumed + timedelta(hours=24)
    with at(34.5):
        assert "the window is open" in release.resume(WINDOW, again, told(again))["message"]
    with at(47.1):
        assert told(again) == {"state": "expired"}


def test_an_abort_ends_the_wait(release: Release) -> None:
    with at(0):
        waiting = waits(release.run(WINDOW))
        release.person(Kind.RELEASE_HELD)
        release.person(Kind.ABORT_REQUESTED)
        assert told(waiting) == {"state": "aborted"}
    with at(24):
        assert told(waiting) == {"state": "aborted"}
