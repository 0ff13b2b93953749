"""Any process may be killed at any moment: the release goes on, or stops safely and says so.

Ten seeds: which process dies and when, within the canary. Two releases of two services run at a time, so
that every kill is survived by both.
"""

from __future__ import annotations

import os
import random
import signal

import psutil
import pytest

from tests.system.conftest import Run, World
from tests.waiting import eventually

TARGETS = ("scheduler", "triggerer", "worker", "sandbox")
SERVICES = ("kill-a", "kill-b")
SEEDS = range(10)
RECOVERY_S = 240.0


@pytest.fixture(scope="module")
def airflow_settings() -> dict[str, str]:
    """Airflow notices sooner than elsewhere that somebody is gone: waiting for that proves nothing."""
    return {
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
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
        workers = [p for p in root.children(recursive=True) if "worker" in words(p)]
        busy = [c for w in workers for c in w.children(recursive=True)] or workers
        victim = dice.choice(busy)
        os.kill(victim.pid, signal.SIGKILL)
        return f"worker process {victim.pid}"
    # The one process, as `kill -9` does: what it had started may live on beside its successor.
    root.kill()
    managed.popen.wait()
    assert world.stack.revive() == [target]
    return target


def words(process: psutil.Process) -> str:
    """Return a process's command line; nothing for one that ends while it is looked at."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seeds", [(n, n + 1) for n in SEEDS[::2]], ids=str)
def test_a_killed_process_costs_no_release_and_nothing_happens_twice(
    world: World, seeds: tuple[int, int]
) -> None:
    runs = [world.start(service, another(world, service)) for service in SERVICES]
    killed = []
    for seed in seeds:
        dice = random.Random(seed)
        run = runs[seed % 2]
        moment = dice.choice(["change.started", "change.finished", "analysis.measured", "analysis.finished"])
        step = f"{run.dag_id.removeprefix('release__')}.{dice.choice(['canary_20', 'canary_100'])}"
        run.until(moment, step, RECOVERY_S)
        killed.append((seed, moment, step, kill(world, TARGETS[seed % len(TARGETS)], dice)))
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
