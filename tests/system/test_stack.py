"""What docker-compose.yaml starts, on this machine: a release to production, and a worker lost in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from relman_plugins.clients.http import client
from relman_plugins.domain.identity import dag_id_of
from relman_plugins.testing.demo_api import AirflowUser
from tests.system.composed import Composed, composed
from tests.waiting import eventually

DAG = dag_id_of("checkout")
VERSION = "1.0.0"

SETTINGS = {
    # In a container of its own each of these would listen for everybody.
    "AIRFLOW__API__HOST": "127.0.0.1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": "8974",
    # Airflow notices sooner that somebody is gone: waiting for that proves nothing.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    with composed(tmp_path_factory.mktemp("stack"), {"airflow-worker": 2}, SETTINGS) as found:
        yield found


def test_a_release_ends_promoted_and_deployed_once_though_its_worker_is_killed_meanwhile(
    stack: Composed,
) -> None:
    passwords = stack.passwords()
    people = {who: AirflowUser(stack.airflow, who, passwords[who]) for who in ("carol", "alice", "bob")}
    looking = people["carol"]
    eventually(lambda: looking.has_dag(DAG), f"{DAG}; {looking.import_errors()}", 120)
    run_id = looking.trigger(DAG, {"version": VERSION})
    release = eventually(lambda: looking.release_of_run("checkout", run_id), "the release", every_s=0.2)
    release_id = release["release_id"]

    def events(kind: str) -> list[dict[str, Any]]:
        return [e for e in looking.events(release_id, 0) if e["kind"] == kind]

    def approve(step: str, *names: str) -> None:
        for who in names:
            eventually(lambda w=who: people[w].required_action(DAG, run_id, step), f"question {step}")
            people[who].answer(DAG, run_id, step, "Approve")

    approve("production.approval", "alice", "bob")

    # A replica that stands still while it starts holds the deployment in its middle.
    held = eventually(lambda: replicas(stack, "production")[:1], "a replica in production", every_s=0.005)[0]
    held.suspend()
    (deploying,) = (t for t in looking.tasks(DAG, run_id) if t["state"] == "running")
    assert deploying["task_id"].startswith("production.")
    assert "production" not in [e["environment"] for e in events("change.finished")]
    victim = next(w for w in stack.running("airflow-worker") if os.getsid(deploying["pid"]) == w.popen.pid)
    begun = {p.pid for p in replicas(stack, "production")}
    stack.kill(victim)
    held.resume()
    # Airflow takes a while to miss it: time to ask everybody's health check, and the lost one's.
    stack.healthy()
    assert "No nodes replied" in stack.ailing("airflow-worker", int(victim.name[-1]))
    # Production was empty, so that there is nothing to compare with: then people are asked.
    approve(deploying["task_id"], "alice")
    closed = eventually(lambda: events("release.closed"), "the end", 180, every_s=0.2)[0]
    assert closed["data"]["outcome"] == "succeeded", closed
    lost = next(t for t in looking.tasks(DAG, run_id) if t["task_id"] == deploying["task_id"])
    assert (lost["state"], lost["try_number"]) == ("success", 2)
    done = Counter((e["environment"], e["step"]) for e in events("change.finished"))
    assert {environment for environment, _ in done} == {"qa", "staging", "production"}
    assert set(done.values()) == {1}, done
    # What the lost worker began is what runs: nothing was started a second time.
    assert begun <= {p.pid for p in replicas(stack, "production")}
    assert len(replicas(stack, "production")) == 2
    with client(stack.front) as users:
        assert users.get("/production/checkout/healthz").json()["version"] == VERSION


def replicas(stack: Composed, environment: str) -> list[psutil.Process]:
    """Return the processes that the sandbox runs in an environment."""
    (sandbox,) = stack.running("sandbox")
    found = []
    for process in psutil.Process(sandbox.popen.pid).children():
        with suppress(psutil.Error):
            if process.environ().get("RELMAN_ENVIRONMENT") == environment:
                found.append(process)
    return found
