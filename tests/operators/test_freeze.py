"""Releases and freezes: at the gate, at the moment of an act, in the middle of a change, on the way back."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.calendars import holidays
from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import DesiredState
from relman_plugins.errors import CalendarError
from relman_plugins.hooks.platform import platform_of
from relman_plugins.ledger import api as ledgers
from relman_plugins.ledger.api import Ledger
from relman_plugins.operators import rolling
from relman_plugins.triggers.analysis import AnalysisTrigger
from relman_plugins.triggers.waits import WindowTrigger
from tests.operators import test_rolling
from tests.operators.test_changing import passed
from tests.steps import world as worlds
from tests.steps.world import Release, World, told

GATE, FIRST, LAST, ROLLBACK = (f"production.{n}" for n in ("window", "canary_50", "canary_100", "rollback"))
NOON = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
CALENDAR = f"""
apiVersion: relman/v1
kind: Calendar
metadata: {{name: company, owner: platform}}
zone: UTC
windows:
  - name: lunch
    effect: allow
    weekly: {{days: [mon, tue, wed, thu, fri, sat, sun], from: "12:00", to: "13:00"}}
  - name: inventory
    effect: deny
    once: {{from: "{NOON:%Y-%m-%dT%H:%M}", until: "{NOON + timedelta(minutes=30):%Y-%m-%dT%H:%M}"}}
    actions: [promote]
"""
_WORKING = next(c for c in ("DE", "US", "JP") if NOON.date() not in dict(holidays._of_year(c, "", NOON.year)))
OFF = f"  - {{name: days off, effect: deny, holidays: {{country: {_WORKING}}}}}\n"
"""Days off that tomorrow is none of."""


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    name = "environments/production.yaml"
    on_close, off, *rolls = getattr(request, "param", ("finish", ""))
    more = f"calendars: [company]\nwindow_timeout: 48h\non_close: {on_close}\n"
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + more)
    if rolls:
        monkeypatch.setitem(
            worlds.SPECS,
            "checkout.yaml",
            worlds.SPECS["checkout.yaml"].replace(test_rolling.CANARY, "strategy: rolling"),
        )
        monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name].replace("replicas: 1", "replicas: 2"))
    monkeypatch.setitem(worlds.SPECS, "calendars/company.yaml", CALENDAR + off)


def at(minutes: float) -> Any:
    """Move the clock to so many minutes after tomorrow's noon."""
    return time_machine.travel(NOON + timedelta(minutes=minutes))


@pytest.fixture
def release(world: World) -> Release:
    """A release that got through its gates while it was open, at 12:40."""
    world.live("1.0.0")
    with at(40):
        return world.open().approved().finished(GATE)


def waits(result: Any) -> WindowTrigger:
    assert isinstance(result, TaskDeferred)
    assert isinstance(result.trigger, WindowTrigger)
    return result.trigger


def test_the_gate_waits_to_the_end_of_the_freeze_and_says_why(world: World) -> None:
    release = world.open().finished("open", "build", "staging.deploy", "staging.one", "staging.two")
    release.finished("production.approval")
    with at(0):
        waiting = release.run(GATE)
        waits(waiting)
    (said,) = release.events(Kind.WINDOW_WAITED)
    end = NOON + timedelta(minutes=30)
    denied = f"denied by inventory of calendar company until {end:%a %Y-%m-%d %H:%M} UTC"
    assert said.data["reasons"] == [denied, f"opens {end:%a %Y-%m-%d %H:%M} UTC"]
    assert said.data["message"] == f"waiting for the release window: {denied}; {said.data['reasons'][1]}"
    assert datetime.fromisoformat(said.data["next_open"]) == end
    with at(29.99):
        assert told(waiting) == {"state": "open"}
        assert datetime.now(UTC) >= end
    with at(30.1):
        assert (
            "inside lunch of calendar company" in release.resume(GATE, waiting, {"state": "open"})["message"]
        )


def test_a_step_looks_again_at_the_moment_of_its_act_whatever_the_gate_said(release: Release) -> None:
    with at(61):
        waiting = release.run(FIRST)
        waits(waiting)
        assert release.world.weights() == {"1.0.0": 100}
        (said,) = [e for e in release.events(Kind.WINDOW_WAITED) if e.step == FIRST]
        assert said.data["reasons"][0] == "outside lunch of calendar company"
    with at(24 * 60 + 1):
        assert told(waiting) == {"state": "open"}
        assert isinstance(release.resume(FIRST, waiting, {"state": "open"}).trigger, AnalysisTrigger)
        assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}


@pytest.mark.parametrize(("truly", "here", "opens"), [(61, 41, False), (41, 61, True)])
def test_windows_go_by_the_clock_of_the_ledger_and_not_of_the_machine(
    release: Release, monkeypatch: pytest.MonkeyPatch, truly: float, here: float, opens: bool
) -> None:
    """What decides is when it is at the ledger, also while this worker's clock is wrong."""
    url = f"sqlite:///{release.world.home / 'ledger.db'}"
    book = Ledger(url, clock=lambda: NOON + timedelta(minutes=truly))
    monkeypatch.setitem(ledgers._open, url, book)
    with at(here):
        gate = release.run(FIRST)
    book.close()
    assert isinstance(gate.trigger, AnalysisTrigger if opens else WindowTrigger)
    assert release.world.weights() == ({"1.0.0": 50, "1.1.0": 50} if opens else {"1.0.0": 100})


def test_a_wait_in_vain_ends_the_step_and_moves_nothing(release: Release) -> None:
    with at(61):
        waiting = release.run(FIRST)
    with pytest.raises(AirflowFailException, match="time to wait for the window is over"):
        release.resume(FIRST, waiting, {"state": "expired"})
    assert release.world.weights() == {"1.0.0": 100}


def test_a_change_that_has_begun_is_finished(release: Release) -> None:
    with at(50):
        passed(release, FIRST)
    with at(61):
        assert isinstance(release.run(LAST).trigger, AnalysisTrigger)
        assert release.world.weights() == {"1.1.0": 100, "1.0.0": 0}


@pytest.mark.parametrize("specs", [("hold", "")], indirect=True)
def test_a_change_waits_where_it_is_when_the_environment_says_hold(release: Release) -> None:
    with at(50):
        passed(release, FIRST)
    with at(61):
        waiting = release.run(LAST)
        until = datetime.fromisoformat(waits(waiting).expires_at)
        assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}
        (lock,) = release.world.ledger.locks.held()
        assert lock.expires_at > until
    with at(24 * 60 + 1):
        again = release.resume(LAST, waiting, told(waiting))
        assert isinstance(again.trigger, AnalysisTrigger)
        assert release.world.weights() == {"1.1.0": 100, "1.0.0": 0}


@pytest.mark.parametrize("specs", [("hold", "")], indirect=True)
def test_a_change_that_a_step_has_made_is_not_held_up_at_its_next_try(release: Release) -> None:
    with at(59):
        release.run(FIRST)
    with at(61):
        assert isinstance(release.run(FIRST, try_number=2).trigger, AnalysisTrigger)


@pytest.mark.parametrize("specs", [("hold", "", "rolling")], indirect=True)
def test_a_rolling_change_stops_between_two_waves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    attended = test_rolling.Attended(platform_of(world.shape.environment("production")))
    monkeypatch.setattr(rolling, "platform_of", lambda environment: attended)
    old = DesiredState(stable=world.revisions["1.0.0"], stable_replicas=2)
    world.platform.converge("production", "checkout", old, token=world.seen().token)
    with at(40):
        release = world.open().approved().finished(GATE)
    with time_machine.travel(NOON + timedelta(minutes=50)) as clock:
        attended.acts[2] = lambda: clock.move_to(NOON + timedelta(minutes=61))
        waiting = release.run(test_rolling.ROLL)
        waits(waiting)
        assert test_rolling.waves(release) == test_rolling.WAVES[:2]
    with at(24 * 60 + 1):
        done = release.resume(test_rolling.ROLL, waiting, told(waiting))
    assert done["message"] == "1.1.0 has replaced what ran in production"
    assert test_rolling.waves(release) == test_rolling.WAVES
    assert test_rolling.is_new(world)


@pytest.mark.parametrize("specs", [("drain", "")], indirect=True)
def test_a_change_is_taken_back_when_the_environment_says_drain(release: Release) -> None:
    with at(50):
        passed(release, FIRST)
    with at(61):
        with pytest.raises(AirflowFailException, match="closed in the middle of the change: outside lunch"):
            release.run(LAST)
        assert "1.0.0 has all the traffic" in release.run(ROLLBACK)["message"]
        assert release.world.weights() == {"1.0.0": 100}


@pytest.mark.parametrize("minutes", [15, 61])
def test_the_way_back_is_open_in_a_freeze_and_outside_of_every_window(
    release: Release, minutes: float
) -> None:
    with at(50):
        release.run(FIRST)
    with at(minutes):
        release.person(Kind.ABORT_REQUESTED)
        assert "1.0.0 has all the traffic" in release.run(ROLLBACK)["message"]
    assert release.world.weights() == {"1.0.0": 100}


def test_an_emergency_does_not_wait(world: World) -> None:
    world.live("1.0.0")
    with at(40):
        release = world.open(emergency=True, emergency_reason="fire").approved().finished(GATE)
    with at(61):
        assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


@pytest.mark.parametrize("specs", [("hold", OFF)], indirect=True)
def test_what_can_not_be_said_is_closed_and_the_way_back_is_not(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without the library for public holidays."""
    with at(50):
        passed(release, FIRST)
        holidays._of_year.cache_clear()
        monkeypatch.setitem(sys.modules, "holidays", None)
        with pytest.raises(CalendarError, match=r"install relman\[holidays\]"):
            release.run(LAST)
        assert "install relman[holidays]" in release.events(Kind.STEP_FAILED)[-1].data["message"]
        assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}
        release.run(ROLLBACK)
    assert release.world.weights() == {"1.0.0": 100}
