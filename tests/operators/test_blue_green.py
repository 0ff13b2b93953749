"""Blue/green on the real sandbox: completed, aborted, tried again and rolled back at each of its steps."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.severity import Severity, severity_of
from relman_plugins.domain.state import DesiredState
from relman_plugins.triggers.analysis import AnalysisTrigger
from relman_plugins.triggers.keep import KeepTrigger
from relman_plugins.triggers.waits import HoldTrigger
from tests.steps.rewriting import rewrite
from tests.steps.world import Numbers, Release, World, grades

PREVIEW, SWITCH, KEEP, ROLLBACK = (f"production.{n}" for n in ("preview", "switch", "keep", "rollback"))
CANARY = "strategy: {canary: {steps: [50, 100], analysis: numbers, interval: 1s, count: 2}}"
BLUE_GREEN = "strategy: {blue_green: {analysis: numbers, interval: 1s, count: 1, keep: 1h}}"
MONITOR = "    monitor: {for: 2s, analysis: numbers, interval: 1s}\n"


@pytest.fixture
def keep() -> str:
    return "1h"


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, keep: str) -> None:
    """Let the pipeline switch, in an environment of two replicas, and without a monitor."""
    rewrite(monkeypatch, "checkout.yaml", (CANARY, BLUE_GREEN.replace("1h", keep)), (MONITOR, ""))
    rewrite(monkeypatch, "environments/production.yaml", ("replicas: 1", "replicas: 2"))


@pytest.fixture
def release(world: World) -> Release:
    old = DesiredState(stable=world.revisions["1.0.0"], stable_replicas=2)
    world.platform.converge("production", "checkout", old, token=world.seen().token)
    return world.open().approved()


def ready(world: World) -> dict[str, int]:
    """Version to replicas that have proven themselves."""
    seen = world.seen()
    return {s.revision.version: s.ready for s in (seen.stable, seen.candidate) if s}


def event_of(deferred: TaskDeferred) -> dict[str, Any]:
    """Run the trigger to its event, as a triggerer does: made again from what was stored."""
    path, arguments = deferred.trigger.serialize()
    assert path.endswith(type(deferred.trigger).__name__)

    async def first() -> dict[str, Any]:
        async for event in type(deferred.trigger)(**arguments).run():
            payload: dict[str, Any] = event.payload
            return payload
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(first())


def good(release: Release) -> Release:
    """Take the release through the switch, with good numbers."""
    release.run(PREVIEW)
    watching = release.run(SWITCH)
    release.resume(SWITCH, watching, event_of(watching))
    return release


def switched(release: Release) -> TaskDeferred:
    """Take the release to where it waits with the old version beside the new one."""
    waiting = good(release).run(KEEP)
    assert isinstance(waiting, TaskDeferred)
    assert isinstance(waiting.trigger, KeepTrigger)
    return waiting


def test_preview_switch_and_time_kept(release: Release) -> None:
    world = release.world
    release.run(PREVIEW)
    assert world.weights() == {"1.0.0": 100, "1.1.0": 0}
    assert ready(world) == {"1.0.0": 2, "1.1.0": 2}
    watching = release.run(SWITCH)
    assert isinstance(watching.trigger, AnalysisTrigger)
    assert world.weights() == {"1.0.0": 0, "1.1.0": 100}
    assert ready(world) == {"1.0.0": 2, "1.1.0": 2}
    assert not [e for e in release.events(Kind.CHANGE_FINISHED) if e.data["promoted"]]


@pytest.mark.parametrize("keep", ["1s"])
def test_when_the_time_is_over_the_old_version_goes(release: Release) -> None:
    said = good(release).run(KEEP)
    assert said["message"] == "1.1.0 is the stable version of production; the old one is gone"
    assert ready(release.world) == {"1.1.0": 2}
    assert [e.data["promoted"] for e in release.events(Kind.CHANGE_FINISHED)] == [False, False, True]
    assert release.world.ledger.locks.held() == []


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_it_is_rolled_back_after_any_step(release: Release, steps: int) -> None:
    if steps == 3:
        switched(release)
    else:
        for step in (PREVIEW, SWITCH)[:steps]:
            release.run(step)
    release.run(ROLLBACK)
    assert release.world.weights() == {"1.0.0": 100}
    assert ready(release.world) == {"1.0.0": 2}


@pytest.mark.parametrize("step", [PREVIEW, SWITCH])
def test_without_a_ledger_it_is_rolled_back_all_the_same(release: Release, step: str) -> None:
    for name in (PREVIEW, SWITCH)[: 1 if step == PREVIEW else 2]:
        release.run(name)
    with release.world.without_ledger():
        release.run(ROLLBACK)
        assert release.world.weights() == {"1.0.0": 100}


def test_bad_numbers_after_the_switch_take_the_traffic_back_at_once(
    release: Release, numbers: Numbers
) -> None:
    release.run(PREVIEW)
    numbers.value = 1.0
    watching = release.run(SWITCH)
    event = event_of(watching)
    assert release.world.weights() == {"1.0.0": 100}
    with pytest.raises(AirflowFailException, match="back at the old version"):
        release.resume(SWITCH, watching, event)


def test_an_abort_while_the_old_version_is_kept_takes_the_traffic_back_at_once(release: Release) -> None:
    waiting = switched(release)
    release.person(Kind.ABORT_REQUESTED, "wrong day")
    event = event_of(waiting)
    assert release.world.weights() == {"1.0.0": 100}
    assert event == {"state": "aborted"}
    withdrawn = release.events(Kind.TRAFFIC_WITHDRAWN)[0]
    assert withdrawn.data["reason"] == "aborted by Bob: wrong day"
    assert severity_of(withdrawn.kind, withdrawn.step, withdrawn.data) is Severity.WARNING
    with pytest.raises(AirflowFailException, match="wrong day"):
        release.resume(KEEP, waiting, event)
    assert grades(release, KEEP) == [Severity.WARNING]
    assert release.world.weights() == {"1.0.0": 100}


def test_an_abort_beside_the_preview_switches_nothing(release: Release) -> None:
    release.run(PREVIEW)
    release.person(Kind.ABORT_REQUESTED, "wrong day")
    with pytest.raises(AirflowFailException, match="wrong day"):
        release.run(SWITCH)
    assert release.world.weights() == {"1.0.0": 100, "1.1.0": 0}
    release.run(ROLLBACK)
    assert ready(release.world) == {"1.0.0": 2}
    assert release.world.ledger.locks.held() == []


def test_an_abort_while_the_switch_is_judged_takes_the_traffic_back_at_once(release: Release) -> None:
    release.run(PREVIEW)
    watching = release.run(SWITCH)
    release.person(Kind.ABORT_REQUESTED, "wrong day")
    event = event_of(watching)
    assert release.world.weights() == {"1.0.0": 100}
    with pytest.raises(AirflowFailException, match="wrong day"):
        release.resume(SWITCH, watching, event)
    release.run(ROLLBACK)
    assert ready(release.world) == {"1.0.0": 2}
    assert release.world.ledger.locks.held() == []


@pytest.mark.parametrize("keep", ["1s"])
def test_a_held_release_lets_nothing_go(release: Release) -> None:
    good(release).person(Kind.RELEASE_HELD, "lunch")
    held = release.run(KEEP)
    assert isinstance(held.trigger, HoldTrigger)
    assert ready(release.world) == {"1.0.0": 2, "1.1.0": 2}
    release.person(Kind.RELEASE_RESUMED, "back")
    release.resume(KEEP, held, {"state": "resumed"})
    assert ready(release.world) == {"1.1.0": 2}


def test_it_waits_to_the_second_and_a_task_resumed_early_goes_on_waiting(release: Release) -> None:
    waiting = switched(release)
    switch = next(e for e in release.events(Kind.CHANGE_FINISHED) if e.step == SWITCH)
    assert waiting.trigger.until == switch.at.timestamp() + 3600
    waiting.trigger.until = time.time() + 0.1
    event = event_of(waiting)
    assert event == {"state": "over"}
    assert isinstance(release.resume(KEEP, waiting, event), TaskDeferred)
    assert ready(release.world) == {"1.0.0": 2, "1.1.0": 2}


def test_a_preview_that_was_lost_is_made_once(release: Release) -> None:
    release.run(PREVIEW)
    replicas = ready(release.world)
    release.run(PREVIEW, try_number=2)
    assert ready(release.world) == replicas
    assert release.world.weights() == {"1.0.0": 100, "1.1.0": 0}


def test_the_first_deploy_has_nothing_to_keep(world: World) -> None:
    release = world.open().approved()
    said = release.run(PREVIEW)
    assert said["message"] == "1.1.0 is the first version in production and has all the traffic"
    watching = release.run(SWITCH)
    release.resume(SWITCH, watching, event_of(watching))
    assert release.run(KEEP)["message"] == "there was no other version in production to keep"
    assert ready(world) == {"1.1.0": 2}
    release.run(ROLLBACK)
    assert not world.seen().exists
