"""Any process may be killed at any moment: the release goes on, or stops safely and says so.

Ten seeds: which process dies and when, within the canary; one dies with a build. Two releases of two services
run at a time, so that every kill is survived by both. And the scheduler dies when a train departs.
"""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from relman_plugins.domain.identity import departure_of
from tests.system.conftest import BASES, Run, World
from tests.waiting import eventually

TARGETS = ("scheduler", "triggerer", "worker", "sandbox")
SERVICES = ("kill-a", "kill-b")
ROUNDS = ((2, 1, 3, 0), (6, 4, 5), (7, 8, 9))
"""Seeds whose kills two releases have to survive together, in the order of their moments."""
BUILDING = 2
"""The seed that takes a worker along with its build."""
RECOVERY_S = 240.0


@pytest.fixture(scope="module")
def reparse_s() -> int:
    return 2


@pytest.fixture(scope="module")
def airflow_settings() -> dict[str, str]:
    """Airflow notices sooner than elsewhere that somebody is gone: waiting for that proves nothing."""
    return {
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "3",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    }


@pytest.fixture(scope="module", autouse=True)
def users(world: World) -> None:
    for service in SERVICES:
        world.found(service, service)
        world.users(service, service, rate=15)


def kill(world: World, target: str, dice: random.Random) -> str:
    """Send SIGKILL to one process, and start again what an operator's service manager would start again."""
    name = "scheduler" if target == "worker" else target
    managed = next(m for m in reversed(world.stack.processes.running) if m.name == name)
    root = psutil.Process(managed.popen.pid)
    if target == "worker":
        return eventually(lambda: kill_at_work(root, dice), "a worker at work")
    # The one process, as `kill -9` does: what it had started may live on beside its successor. Not so where
    # that would keep the dead one's connection to PostgreSQL open, and its locks with it, as no service
    # manager does (docs/how-to/troubleshoot.md).
    left = root.children(recursive=True) if BASES == "postgresql" and target == "scheduler" else []
    root.kill()
    managed.popen.wait()
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert world.stack.revive() == [target]
    return target


def kill_at_work(scheduler: psutil.Process, dice: random.Random) -> str | None:
    """Kill a worker of LocalExecutor that has a task, or the process of its task; None if there is none.

    An idle one is left alone: with it may die the lock of the queue that all of them read from, and Airflow
    starts nothing more until the scheduler is restarted (docs/how-to/troubleshoot.md).
    """
    for worker in dice.sample(workers := scheduler.children(), len(workers)):
        with suppress(psutil.NoSuchProcess):
            # Stopped, it can't go back to the queue while it is looked at.
            worker.suspend()
            try:
                if tasks := worker.children():
                    victim = dice.choice([worker, *tasks])
                    victim.kill()
                    return f"{'worker' if victim is worker else 'task'} {victim.pid}"
            finally:
                worker.resume()
    return None


def depart_in(world: World, seconds: float) -> datetime:
    """Write a train that departs when its environment opens; return when, to the second."""
    departs = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
    for place, text in {
        "calendars/station.yaml": (
            "kind: Calendar\nmetadata: {name: station, owner: tests}\nzone: UTC\nwindows:\n"
            "  - {name: closed, effect: deny, once: "
            f'{{from: 2026-01-01, until: "{departs:%Y-%m-%dT%H:%M:%S}"}}}}\n'
        ),
        "environments/station.yaml": (
            "kind: Environment\nmetadata: {name: station, owner: tests}\nplatform: sandbox\n"
            "connection: relman_sandbox\nreplicas: 1\ncalendars: [station]\n"
        ),
        "station.yaml": (
            "kind: ReleasePipeline\nmetadata: {name: station, owner: tests}\n"
            "artifact: {source: ../checkout, build: [python, build.py]}\n"
            "stages: [{environment: station}]\n"
            "schedule: {opening: station, version: {file: ../checkout/VERSION}, announce: 1h}\n"
        ),
    }.items():
        (world.specs / place).write_text(f"apiVersion: relman/v1\n{text}")
    return departs


def test_a_scheduler_that_is_killed_when_a_train_departs_costs_no_release_and_starts_one(
    world: World,
) -> None:
    departs = depart_in(world, 25)
    # On a slow machine it is looked at for the first time when it is due.
    eventually(lambda: world.ledger.trains.of("station", departs), "the train's run", every_s=0.2)
    eventually(lambda: datetime.now(UTC) >= departs, "its departure", 60)
    kill(world, "scheduler", random.Random(0))
    train = eventually(lambda: ended_train(world), "the end of the train's run", RECOVERY_S, every_s=0.5)
    assert [e.action for e in world.ledger.trains.of("station", departs)].count("departed") == 1
    status, found = world.call("admin", "GET", "/api/v2/dags/release__station/dagRuns")
    assert (status, [departure_of(run["dag_run_id"]) for run in found["dag_runs"]]) == (200, [departs])
    assert train == "success"
    run_id = found["dag_runs"][0]["dag_run_id"]
    eventually(lambda: world.ledger.release_of_run("release__station", run_id), "its release", RECOVERY_S)


def ended_train(world: World) -> str | None:
    """Return the state of the train's only run when that has ended."""
    (run,) = world.call("admin", "GET", "/api/v2/dags/train__station/dagRuns")[1]["dag_runs"]
    return run["state"] if run["state"] in ("success", "failed") else None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seeds", ROUNDS, ids=str)
def test_a_killed_process_costs_no_release_and_nothing_happens_twice(
    world: World, seeds: tuple[int, ...]
) -> None:
    runs = [world.start(service, another(world, service)) for service in SERVICES]
    killed = []
    for seed in seeds:
        dice = random.Random(seed)
        run = runs[seed % 2]
        moment = dice.choice(["change.started", "change.finished", "analysis.measured", "analysis.finished"])
        step = f"{run.dag_id.removeprefix('release__')}.{dice.choice(['canary_20', 'canary_100'])}"
        if seed == BUILDING:
            moment, step = "step.started", "build"
        if reached(run, moment, step):
            killed.append((seed, moment, step, kill(world, TARGETS[seed % len(TARGETS)], dice)))
    assert killed
    for run in runs:
        outcome = run.outcome(RECOVERY_S)
        service = run.dag_id.removeprefix("release__")
        reason = run.events("release.closed")[0].data["reason"]
        version = world.ledger.release(run.release_id).version  # type: ignore[union-attr]
        if outcome == "succeeded":
            is_live(world, service, version)
        else:
            # Stopped safely: the old version has all the traffic, and the record says why.
            assert outcome == "rolled_back", (outcome, reason, killed)
            assert reason
            is_live(world, service, version, no_more=True)
        keys = [e.key for e in world.ledger.events(run.release_id)]
        assert len(keys) == len(set(keys))
        assert sum(e.data["promoted"] for e in run.events("change.finished")) <= 1 + retries(run)
        run.unlocked()


def reached(run: Run, moment: str, step: str) -> bool:
    """Wait for an event of the step; say whether the release still goes on: a kill may have ended it."""
    eventually(
        lambda: any(e.step == step for e in run.events(moment)) or run.events("release.closed"),
        f"{moment} of {step}, or the end of {run.release_id}",
        RECOVERY_S,
        every_s=0.2,
    )
    return not run.events("release.closed")


def another(world: World, service: str) -> str:
    """Return a good version that is not the live one: an earlier kill may have left either."""
    return "1.3.0" if live(world, service) != "1.3.0" else "1.1.0"


def retries(run: Run) -> int:
    """Tries beyond the first: converging again is allowed, deploying twice is not."""
    return sum(e.data.get("try", "try1") != "try1" for e in run.events("step.started"))


def is_live(world: World, service: str, version: str, *, no_more: bool = False) -> None:
    eventually(lambda: (live(world, service) == version) is not no_more, f"the end state of {service}")


def live(world: World, service: str) -> str | None:
    seen = world.seen(service, service)
    return seen.stable.revision.version if seen.stable and seen.candidate is None else None
