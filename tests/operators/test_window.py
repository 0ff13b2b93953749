"""Waiting for a release window, undisturbed and across a hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.calendars.weekly import Answer
from relman_plugins.domain.event import Kind
from relman_plugins.triggers.analysis import AnalysisTrigger
from relman_plugins.triggers.waits import HoldTrigger, WindowTrigger
from tests.operators.test_changing import passed
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


LONG = "outlasting: wait\n"
FIRST = "production.canary_50"


@pytest.fixture
def outlasting(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    name = "environments/production.yaml"
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + request.param)


def seconds_before_it_closes(seconds: float) -> Any:
    return time_machine.travel(NOON + timedelta(hours=11, seconds=-seconds))


def begins(deferred: TaskDeferred) -> datetime:
    return datetime.fromisoformat(deferred.trigger.opens_at)


@pytest.mark.parametrize("outlasting", [LONG], indirect=True)
@pytest.mark.usefixtures("outlasting")
def test_a_change_that_would_outlast_the_opening_waits_for_one_that_is_long_enough(world: World) -> None:
    """Two weights and a monitor of two seconds each."""
    world.live("1.0.0")
    release = world.open().approved()
    with seconds_before_it_closes(5):
        waiting = waits(release.run(WINDOW))
        assert begins(waiting) == NOON + timedelta(hours=34)
        (said,) = release.events(Kind.WINDOW_WAITED)
        assert said.data["reasons"][0].endswith("23:00 UTC, and the change takes 0:00:06 at least")
    with time_machine.travel(NOON + timedelta(hours=34, seconds=-0.2)):
        assert told(waiting) == {"state": "open"}
    with seconds_before_it_closes(7):
        assert "the window is open" in release.run(WINDOW, try_number=2)["message"]
    with seconds_before_it_closes(5):
        waits(release.run(FIRST))  # at the moment of its act it looks by itself
    assert world.weights() == {"1.0.0": 100}


@pytest.mark.parametrize("outlasting", [LONG + "on_close: hold\n"], indirect=True)
@pytest.mark.usefixtures("outlasting")
def test_between_two_weights_it_is_left_where_it_is_when_the_next_one_would_not_fit(world: World) -> None:
    world.live("1.0.0")
    release = world.open().approved()
    with seconds_before_it_closes(5):
        assert "the window is open" in release.run(WINDOW)["message"]
        passed(release, FIRST)
    with seconds_before_it_closes(1):
        waiting = waits(release.run("production.canary_100"))
        assert world.weights() == {"1.0.0": 50, "1.1.0": 50}
    with time_machine.travel(begins(waiting) + timedelta(seconds=1)):
        assert isinstance(release.resume("production.canary_100", waiting, told(waiting)), TaskDeferred)
        assert world.weights() == {"1.1.0": 100, "1.0.0": 0}


@pytest.mark.parametrize("outlasting", [LONG + "on_close: drain\n"], indirect=True)
@pytest.mark.usefixtures("outlasting")
def test_what_is_drained_when_it_closes_is_not_taken_back_while_it_is_open(world: World) -> None:
    """What is left would not fit any more, since the first weight took longer than planned."""
    world.live("1.0.0")
    release = world.open().approved()
    with seconds_before_it_closes(7):
        assert "the window is open" in release.run(WINDOW)["message"]
        passed(release, FIRST)
    with seconds_before_it_closes(1):
        assert isinstance(release.run("production.canary_100").trigger, AnalysisTrigger)
        assert world.weights() == {"1.1.0": 100, "1.0.0": 0}


@pytest.mark.parametrize("outlasting", [LONG + "on_close: drain\n"], indirect=True)
@pytest.mark.usefixtures("outlasting")
def test_what_would_not_fit_does_not_begin_where_it_is_drained_and_goes_back_when_it_closed(
    world: World,
) -> None:
    world.live("1.0.0")
    release = world.open().approved()
    with seconds_before_it_closes(5):
        waits(release.run(WINDOW))
    with seconds_before_it_closes(7):
        release.run(WINDOW, try_number=2)
        passed(release, FIRST)
    with seconds_before_it_closes(-1), pytest.raises(AirflowFailException, match="closed in the middle"):
        release.run("production.canary_100")


def test_the_releases_that_wait_for_one_opening_are_spread_over_a_minute_the_same_each_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__WINDOW_SPREAD", "60")
    release = world.open().finished(*BEFORE)
    with at(0):
        waiting = waits(release.run(WINDOW))
    opens = NOON + timedelta(hours=10)
    closes = Answer(open=True, reasons=(), next_close=opens + timedelta(hours=1))
    short = Answer(open=True, reasons=(), next_close=opens + timedelta(seconds=20))

    def turns(said: Answer) -> list[float]:
        found = []
        for n in range(50):
            arguments = waiting.trigger.serialize()[1] | {"release_id": f"checkout-1.1.{n}-1"}
            found.append((WindowTrigger(**arguments).turn(said, opens) - opens).total_seconds())
        return found

    assert turns(closes) == turns(closes)
    assert 0 <= min(turns(closes)) < 10
    assert 50 < max(turns(closes)) <= 60
    assert max(turns(short)) <= 2, "a tenth of the opening"
    with time_machine.travel(opens + timedelta(minutes=2)):
        assert told(waiting) == {"state": "open"}
