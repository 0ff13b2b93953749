"""An emulated cluster, and drivers for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from relman_plugins.domain.state import DesiredState, ObservedState
from relman_plugins.platforms.base import Jobs
from relman_plugins.strategies.base import withdrawn
from relman_plugins.testing.kube import Cluster
from tests.kubernetes.suites import driver_jobs
from tests.platforms.places import NAMESPACE, ROUTE, driver, revision, workload

OLD, NEW, THIRD = revision(1), revision(2), revision(3)


class Shop:
    """The example service in an emulated cluster."""

    def __init__(self, cluster: Cluster, *documents: str, **fields: Any) -> None:
        self.cluster = cluster
        self.driver = driver(cluster.kubeconfig(), workload(*documents, **fields))

    def converge(self, token: int = 1, timeout_s: float = 30, **fields: Any) -> ObservedState:
        return self.driver.converge(
            "production", "checkout", DesiredState(**fields), token=token, timeout_s=timeout_s
        )

    def back(self, replicas: int = 2, timeout_s: float = 30, **fields: Any) -> ObservedState:
        """Take the change back, as withdrawals and rollbacks do."""
        to = withdrawn(fields.get("to", OLD), replicas, fields.get("config"))
        return self.driver.converge("production", "checkout", to, token=1, timeout_s=timeout_s)

    def observe(self) -> ObservedState:
        return self.driver.observe("production", "checkout")

    def live(self, kind: str, name: str) -> Any:
        return self.cluster.store.find(kind, NAMESPACE, name)

    def stable(self, replicas: int = 2) -> ObservedState:
        return self.converge(stable=OLD, stable_replicas=replicas)

    def canary(self, weight: int, timeout_s: float = 30, **fields: Any) -> ObservedState:
        wanted = {"stable": OLD, "candidate": NEW, "candidate_weight": weight, "stable_replicas": 2,
                  "candidate_replicas": 1} | fields  # fmt: skip
        return self.converge(timeout_s=timeout_s, **wanted)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(NAMESPACE) as cluster:
        yield cluster


@pytest.fixture
def jobs(cluster: Cluster) -> Jobs:
    """What runs suites in it."""
    return driver_jobs(cluster)


@pytest.fixture
def shop(cluster: Cluster) -> Shop:
    """Without a router."""
    return Shop(cluster)


@pytest.fixture
def routed(cluster: Cluster) -> Shop:
    """Behind a Gateway's route."""
    return Shop(cluster, ROUTE)
