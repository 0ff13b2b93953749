"""Stopping the line: what has not begun waits, the way back is open, and a thaw lets all of it go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.steps import housekeeping
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.triggers.analysis import AnalysisTrigger
from relman_plugins.triggers.waits import FreezeTrigger
from tests.operators import test_requested_rollback as ended
from tests.operators.test_changing import FIRST, LAST, MONITOR, ROLLBACK, judged, passed
from tests.steps.test_housekeeping import Runs
from tests.steps.world import Release, World, told

DANA = Actor(kind="person", id="dana", name="Dana", via="cli")


def freeze(world: World, environment: str = "", pipeline: str = "", until: datetime | None = None) -> None:
    world.ledger.freezes.freeze(
        environment=environment, pipeline=pipeline, reason="incident 7", until=until, actor=DANA
    )


def thaw(world: World, environment: str = "", pipeline: str = "") -> None:
    lifted = world.ledger.freezes.thaw(environment=environment, pipeline=pipeline, reason="over", actor=DANA)
    assert lifted


def frozen(result: Any) -> TaskDeferred:
    assert isinstance(result, TaskDeferred)
    assert isinstance(result.trigger, FreezeTrigger)
    return result


@pytest.mark.parametrize("scope", [("", ""), ("production", ""), ("", "checkout")])
def test_no_step_begins_a_change_until_the_thaw_and_who_and_why_is_on_record(
    release: Release, scope: tuple[str, str]
) -> None:
    freeze(release.world, *scope)
    waiting = frozen(release.run(FIRST))
    assert release.world.weights() == {"1.0.0": 100}
    (said,) = release.events(Kind.FREEZE_WAITED)
    assert said.step == FIRST
    assert said.data["message"].endswith("frozen by Dana: incident 7")
    assert said.data["freezes"][0]["actor"]["id"] == "dana"
    frozen(release.resume(FIRST, waiting, {"state": "thawed"}))  # a forged event opens nothing
    thaw(release.world, *scope)
    event = told(waiting)
    assert event == {"state": "thawed"}
    assert isinstance(release.resume(FIRST, waiting, event).trigger, AnalysisTrigger)


@pytest.mark.parametrize("scope", [("staging", ""), ("", "search"), ("production", "search")])
def test_what_others_do_is_not_held_up(release: Release, scope: tuple[str, str]) -> None:
    freeze(release.world, *scope)
    assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


def test_a_version_with_traffic_is_watched_on_and_a_good_verdict_promotes_nothing(release: Release) -> None:
    passed(release, FIRST)
    passed(release, LAST)
    freeze(release.world, "production")
    waiting = release.run(MONITOR)
    assert isinstance(waiting.trigger, AnalysisTrigger)
    judged(release, MONITOR, "pass")
    frozen(release.resume(MONITOR, waiting, {"verdict": "pass", "reason": "fine", "aborted": False}))
    assert release.world.weights() == {"1.1.0": 100, "1.0.0": 0}
    frozen(release.run(MONITOR, try_number=2))
    thaw(release.world, "production")
    release.run(MONITOR, try_number=2)
    assert release.world.weights() == {"1.1.0": 100}


def test_what_is_not_begun_waits_between_two_steps(release: Release) -> None:
    passed(release, FIRST)
    freeze(release.world, "production")
    frozen(release.run(LAST))
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}


def test_another_try_of_what_has_begun_watches_on(release: Release) -> None:
    release.run(FIRST)
    freeze(release.world)
    assert isinstance(release.run(FIRST, try_number=2).trigger, AnalysisTrigger)


def test_the_way_back_is_open(release: Release) -> None:
    release.run(FIRST)
    freeze(release.world)
    release.person(Kind.ABORT_REQUESTED)
    assert "1.0.0 has all the traffic" in release.run(ROLLBACK)["message"]
    assert release.world.weights() == {"1.0.0": 100}


def test_an_abort_ends_the_wait(release: Release) -> None:
    freeze(release.world)
    waiting = frozen(release.run(FIRST))
    release.person(Kind.ABORT_REQUESTED)
    assert told(waiting) == {"state": "aborted"}


def test_a_freeze_that_ends_by_itself_lets_the_release_go_on(release: Release) -> None:
    freeze(release.world, until=datetime.now(UTC) + timedelta(hours=1))
    waiting = frozen(release.run(FIRST))
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
        assert told(waiting) == {"state": "thawed"}


def test_an_emergency_waits_too_and_tests_and_a_dry_run_do_not(world: World) -> None:
    world.live("1.0.0")
    freeze(world)
    emergency = world.open(emergency=True, emergency_reason="fire").approved()
    frozen(emergency.run(FIRST))
    dry = world.open("1.1.0", "run-2", dry_run=True).approved()
    assert "dry run" in dry.run(FIRST)["message"]


def test_a_release_that_has_ended_is_rolled_back_by_its_run_and_by_maintenance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.live("1.0.0")
    one, two = ended.shipped(world, "1.1.0"), ended.shipped(world, "1.2.0")
    for scope in (("", ""), ("production", ""), ("", "checkout"), ("production", "checkout")):
        freeze(world, *scope)
    assert "production is back at 1.1.0" in ended.run(ended.asked(two))
    assert world.weights() == {"1.1.0": 100}
    ended.asked(one, n=2)
    monkeypatch.setattr(housekeeping, "ROLLBACK_GRACE", timedelta(0))
    Housekeeper(world.ledger, Runs()).round()
    assert world.weights() == {"1.0.0": 100}
    assert len(world.ledger.freezes.on()) == 4
