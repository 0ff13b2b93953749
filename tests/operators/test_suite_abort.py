"""An abort while a suite runs as a Job, and its cluster, or the login for it, does not answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from airflow.sdk.exceptions import TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.operators.close import close
from relman_plugins.platforms.kubernetes import jobs as kubernetes_jobs
from relman_plugins.testing.kube import Cluster
from relman_plugins.testing.kube.faults import Fault
from relman_plugins.testing.kube.resources import ApiError
from relman_plugins.triggers import job
from tests.operators.test_suite_pods import (
    IMAGE,
    jobs,
    release,
    specs,
    suite,
    told,
    world,
)
from tests.steps.world import Release

__all__ = ["release", "specs", "suite", "world"]

# Whoever waits for the cluster waits longer.
pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def waiting(release: Release, cluster: Cluster) -> TaskDeferred:
    """The suite's task, whose pod does not begin; and the release is aborted."""
    cluster.image(IMAGE, "hold")
    waiting: TaskDeferred = release.run("production.one")
    release.person(Kind.ABORT_REQUESTED)
    return waiting


@contextmanager
def held(cluster: Cluster, verb: str) -> Iterator[None]:
    """Let all such requests for Jobs wait."""
    fault = Fault(verb, "jobs.batch", ApiError(0, "", ""), times=1000, until=Event())
    cluster.faults.add(fault)
    try:
        yield
    finally:
        cluster.faults.waiting.remove(fault)
        fault.until.set()


def test_a_look_that_hangs_keeps_no_job_from_being_removed(
    waiting: TaskDeferred, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_jobs, "LOOK_S", 600.0)
    with held(cluster, "get"):
        assert told(waiting) == {"state": "over"}
        assert jobs(cluster) == []


def test_a_removal_that_hangs_is_left_to_the_close(
    waiting: TaskDeferred, release: Release, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "REMOVAL_S", 0.2)
    with held(cluster, "delete"):
        assert told(waiting) == {"state": "over"}
        assert len(jobs(cluster)) == 1
    close(release.task("close").start(release.context("close")))
    assert jobs(cluster) == []


def test_a_removal_that_fails_is_left_to_the_close(
    waiting: TaskDeferred, release: Release, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "REMOVAL_S", 0.2)
    fault = cluster.faults.fail("delete", "jobs.batch", 503, times=10_000)
    assert told(waiting) == {"state": "over"}
    assert len(jobs(cluster)) == 1
    cluster.faults.waiting.remove(fault)
    close(release.task("close").start(release.context("close")))
    assert jobs(cluster) == []


def test_a_program_for_the_login_that_hangs_keeps_no_abort_waiting(
    waiting: TaskDeferred, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "REMOVAL_S", 0.2)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    config = cluster.kubeconfig()
    config["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "cat",
            "args": [str(pipe)],
            "interactiveMode": "Never",
        }
    }
    connection = {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(config)}}
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(connection))
    # For reading and writing, so that the program waits for what is written, and ends when this is closed.
    with pipe.open("r+b", buffering=0):
        assert told(waiting) == {"state": "over"}
        pipe.unlink()
    assert len(jobs(cluster)) == 1


def test_a_cluster_that_does_not_take_the_login_ends_no_wait(
    waiting: TaskDeferred, release: Release, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "REMOVAL_S", 0.2)
    token, cluster.token = cluster.token, "renewed"
    assert told(waiting) == {"state": "over"}
    closing = release.task("close").start(release.context("close"))
    assert close(closing).startswith("checkout-1.1.0-1 aborted")
    cluster.token = token
    assert len(jobs(cluster)) == 1
    close(closing)
    assert jobs(cluster) == []
