"""Fixtures of the tests of steps, triggers and operators."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.domain.state import DesiredState
from tests.platforms.conftest import builds, revisions
from tests.platforms.living import COMMAND, Daemon
from tests.steps.world import Numbers, Release, World, make_world

__all__ = ["builds", "comms", "numbers", "release", "revisions", "sandbox", "world"]


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("sandbox") / "home"
    daemon = Daemon(home)
    yield daemon
    subprocess.run([*COMMAND, "--home", str(home), "--stop-all"], check=True, capture_output=True)
    daemon.process.wait(20)


@pytest.fixture
def numbers() -> Iterator[Numbers]:
    server = Numbers()
    yield server
    server.close()


@pytest.fixture
def comms(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand in for Airflow's supervisor: what tasks tell it is kept."""
    from airflow.sdk.execution_time import task_runner

    sent: list[Any] = []

    class Supervisor:
        def send(self, msg: Any) -> None:
            sent.append(msg)

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)
    return sent


@pytest.fixture
def world(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Daemon,
    numbers: Numbers,
    comms: list[Any],
    revisions: dict[str, Any],
) -> Iterator[World]:
    home = tmp_path / "relman"
    home.mkdir()
    control = sandbox.urls["control_url"].rpartition(":")[2]
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(home))
    monkeypatch.setenv("AIRFLOW__RELMAN__MINIMUM_DEFERRAL", "0.01")
    monkeypatch.setenv("AIRFLOW__RELMAN__WINDOW_SPREAD", "0")
    monkeypatch.setenv("AIRFLOW_CONN_RELMAN_SANDBOX", f"relman-sandbox://127.0.0.1:{control}")
    monkeypatch.setenv("AIRFLOW_CONN_RELMAN_METRICS", f"http://127.0.0.1:{numbers.port}")
    made = make_world(home, sandbox.driver, revisions)
    yield made
    for environment in ("staging", "production"):
        token = made.seen(environment).token
        sandbox.driver.converge(environment, "checkout", DesiredState(), token=token)
    made.ledger.close()


@pytest.fixture
def release(world: World) -> Release:
    """A release of 1.1.0 where 1.0.0 is live, with its gate approved."""
    world.live("1.0.0")
    return world.open().approved()
