"""A rolling change on the real sandbox: completed, aborted, held, killed and rolled back at each wave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import DesiredState, ObservedState
from relman_plugins.hooks.platform import platform_of
from relman_plugins.operators import rolling as operator
from relman_plugins.platforms.base import Platform
from relman_plugins.triggers.waits import HoldTrigger
from tests.platforms.living import call, made
from tests.steps import world as worlds
from tests.steps.world import Release, World

ROLL, ROLLBACK = "production.roll", "production.rollback"
WAVES = [(2, 1), (1, 1), (1, 2), (0, 2)]
"""Two replicas, one more, none fewer: replicas of the old and of the new version, the last one promoted."""
CANARY = "strategy: {canary: {steps: [50, 100], analysis: numbers, interval: 1s, count: 2}}"


class WorkerDied(Exception):
    """Stands for a worker that is killed: nothing after it is done or recorded."""


class Attended:
    """The real platform, and somebody who acts right after one of its changes."""

    def __init__(self, real: Platform) -> None:
        self.real, self.asked, self.acts = real, [], {}
        self.asked: list[DesiredState]
        self.acts: dict[int, Callable[[], Any]]

    def observe(self, environment: str, service: str) -> ObservedState:
        return self.real.observe(environment, service)

    def converge(
        self, environment: str, service: str, desired: DesiredState, *, token: int, timeout_s: float = 60
    ) -> ObservedState:
        self.asked.append(desired)
        observed = self.real.converge(environment, service, desired, token=token, timeout_s=timeout_s)
        self.acts.pop(len(self.asked), lambda: None)()
        return observed


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pipeline roll, in an environment of two replicas."""
    for name, old, new in (
        ("checkout.yaml", CANARY, "strategy: rolling"),
        ("environments/production.yaml", "replicas: 1", "replicas: 2"),
    ):
        assert old in worlds.SPECS[name]
        monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name].replace(old, new))


@pytest.fixture
def attended(world: World, monkeypatch: pytest.MonkeyPatch) -> Attended:
    found = Attended(platform_of(world.shape.environment("production")))
    monkeypatch.setattr(operator, "platform_of", lambda environment: found)
    return found


@pytest.fixture
def release(world: World) -> Release:
    old = DesiredState(stable=world.revisions["1.0.0"], stable_replicas=2)
    world.platform.converge("production", "checkout", old, token=world.seen().token)
    return world.open().approved()


def counts(states: list[DesiredState]) -> list[tuple[int, int]]:
    return [
        (s.stable_replicas, s.candidate_replicas) if s.candidate else (0, s.stable_replicas) for s in states
    ]


def waves(release: Release) -> list[tuple[int, int]]:
    """Return the waves that the ledger has as done, as the platform saw them."""
    seen = []
    for event in release.events(Kind.CHANGE_FINISHED):
        observed = ObservedState.model_validate(event.data["observed"])
        assert observed.matches(DesiredState.model_validate(event.data["desired"]))
        seen.append(DesiredState.model_validate(event.data["desired"]))
    return counts(seen)


def is_back(world: World) -> bool:
    seen = world.seen()
    assert seen.stable
    found = (seen.stable.revision.version, seen.stable.ready, seen.stable.weight, seen.candidate)
    return found == ("1.0.0", 2, 100, None)


def is_new(world: World) -> bool:
    seen = world.seen()
    assert seen.stable
    return (seen.stable.revision.version, seen.stable.ready, seen.candidate) == ("1.1.0", 2, None)


def test_it_rolls_under_traffic_without_a_failed_request(release: Release) -> None:
    over, answers = threading.Event(), []
    url = f"{release.world.seen().url}/healthz"

    def ask() -> None:
        while not over.is_set():
            status, _, headers = call(url)
            answers.append((status, headers.get("X-Relman-Version")))

    users = threading.Thread(target=ask)
    users.start()
    try:
        said = release.run(ROLL)
    finally:
        over.set()
        users.join()
    assert said["message"] == "1.1.0 has replaced what ran in production"
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"1.0.0", "1.1.0"}
    assert waves(release) == WAVES
    assert is_new(release.world)
    promoted = [e.data["promoted"] for e in release.events(Kind.CHANGE_FINISHED)]
    assert promoted == [False, False, False, True]


@pytest.mark.parametrize("wave", range(1, len(WAVES)))
def test_an_abort_stops_it_after_any_wave_and_it_is_rolled_back(
    release: Release, attended: Attended, wave: int
) -> None:
    attended.acts[wave] = lambda: release.person(Kind.ABORT_REQUESTED, "wrong day")
    with pytest.raises(AirflowFailException, match="wrong day"):
        release.run(ROLL)
    assert waves(release) == WAVES[:wave]
    release.run(ROLLBACK)
    assert is_back(release.world)
    assert release.world.ledger.locks.held() == []


def test_after_the_last_wave_a_failed_suite_still_goes_back(release: Release) -> None:
    release.run(ROLL)
    release.run(ROLLBACK)
    assert is_back(release.world)


@pytest.mark.parametrize("wave", range(1, len(WAVES) + 1))
def test_a_worker_that_dies_at_any_wave_is_replaced_by_one_that_goes_on_there(
    release: Release, attended: Attended, wave: int
) -> None:
    def die() -> None:
        raise WorkerDied

    attended.acts[wave] = die
    with pytest.raises(WorkerDied):
        release.run(ROLL)
    release.run(ROLL, try_number=2)
    assert counts(attended.asked) == [*WAVES[:wave], *WAVES[wave - 1 :]]
    assert is_new(release.world)


@pytest.mark.parametrize("wave", range(1, len(WAVES)))
def test_a_worker_that_dies_without_a_ledger_is_rolled_back_all_the_same(
    release: Release, attended: Attended, wave: int
) -> None:
    def die() -> None:
        raise WorkerDied

    attended.acts[wave] = die
    with pytest.raises(WorkerDied):
        release.run(ROLL)
    with release.world.without_ledger():
        release.run(ROLLBACK)
        assert is_back(release.world)


@pytest.mark.parametrize("wave", range(1, len(WAVES)))
def test_a_hold_stops_it_between_two_waves_and_it_goes_on_there(
    release: Release, attended: Attended, wave: int
) -> None:
    attended.acts[wave] = lambda: release.person(Kind.RELEASE_HELD, "lunch")
    waiting = release.run(ROLL)
    assert isinstance(waiting, TaskDeferred)
    assert isinstance(waiting.trigger, HoldTrigger)
    assert waves(release) == WAVES[:wave]
    release.person(Kind.RELEASE_RESUMED, "back")
    release.resume(ROLL, waiting, {"state": "resumed"})
    assert counts(attended.asked) == [*WAVES[:wave], *WAVES[wave - 1 :]]
    assert waves(release) == WAVES
    assert is_new(release.world)


def test_a_version_that_does_not_start_takes_no_traffic_and_no_old_replica_away(
    world: World, tmp_path: Any
) -> None:
    broken = made(tmp_path, "9.9.9", "raise SystemExit(3)")
    world.revisions = {**world.revisions, "9.9.9": broken}
    old = DesiredState(stable=world.revisions["1.0.0"], stable_replicas=2)
    world.platform.converge("production", "checkout", old, token=world.seen().token)
    release = world.open("9.9.9").approved()
    with pytest.raises(AirflowFailException, match="does not start"):
        release.run(ROLL)
    assert world.weights() == {"1.0.0": 100, "9.9.9": 0}
    assert world.seen().stable.ready == 2
    release.run(ROLLBACK)
    assert is_back(world)


def test_the_first_deploy_skips_the_waves_and_goes_back_to_nothing(world: World) -> None:
    release = world.open().approved()
    release.run(ROLL)
    assert waves(release) == [(0, 2)]
    assert is_new(world)
    release.run(ROLLBACK)
    assert not world.seen().exists
