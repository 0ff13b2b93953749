"""Suites for an emulated cluster."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.suite_job import JobLook, SuiteJob
from relman_plugins.platforms.base import Jobs, RunsJobs
from relman_plugins.testing.kube import Cluster
from relman_plugins.testing.kube.resources import Obj
from tests.platforms.places import NAMESPACE, driver, workload
from tests.waiting import eventually

IMAGE = "registry.example/shop/tests@sha256:" + "7" * 64
REPORT = "import os; open(os.environ['RELMAN_REPORTS'] + '/a.xml', 'w').write('<testsuite/>')"


def driver_jobs(cluster: Cluster) -> Jobs:
    platform = driver(cluster.kubeconfig(), workload())
    assert isinstance(platform, RunsJobs)
    return platform.jobs()


def pod_of(cluster: Cluster, one: SuiteJob) -> Obj:
    """Wait for the pod of a Job, and return it."""

    def found() -> Obj | None:
        return next(iter(cluster.store.all("Pod", NAMESPACE, **{"relman/job": one.name})), None)

    return eventually(found, f"the pod of {one.name}")


def job(code: str = REPORT, **fields: Any) -> SuiteJob:
    given: dict[str, Any] = {
        "release_id": "checkout-1.1.0-1",
        "step": "production.smoke",
        "round": 0,
        "attempt": 1,
        "image": IMAGE,
        "collector": IMAGE,
        "command": ("python", "-c", code),
        "variables": {"RELMAN_REPORTS": "/relman/reports"},
        "files": ("a.xml",),
        "timeout_s": 60.0,
    }
    return SuiteJob(**given | fields)


def ended(jobs: Jobs, one: SuiteJob) -> JobLook:
    """Start a Job and wait for its end."""
    jobs.start(one)

    def look() -> JobLook | None:
        found = jobs.look(one.name, one.timeout_s)
        assert found is not None
        return found if found.ended or found.hopeless else None

    return eventually(look, f"the end of {one.name}")
