"""Suites on a cluster that does not answer hold up no traffic, and no suites on another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.hooks.ledger import async_ledger_source
from relman_plugins.testing.kube import Cluster
from relman_plugins.triggers.base import in_job_thread, in_ledger_thread, in_platform_thread
from relman_plugins.triggers.job import JobTrigger
from tests.platforms.places import NAMESPACE, workload

SUITES = 17
"""More than there are threads for what moves traffic."""

ASKED = ("get", "jobs.batch")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(NAMESPACE) as cluster:
        connection = {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(cluster.kubeconfig())}}
        monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(tmp_path))
        yield cluster


def trigger(number: int) -> JobTrigger:
    environment = {
        "name": "production",
        "platform": "kubernetes",
        "connection": "cluster",
        "replicas": 1,
        "ephemeral": False,
        "workload": workload().model_dump(mode="json"),
    }
    name = f"relman-suite-x-{number}"
    about: dict[str, Any] = {"release_id": "r", "environment": environment, "name": name, "timeout_s": 60.0}
    return JobTrigger(**about, deferred_at=0.0, minimum_s=0.0)


def test_traffic_is_moved_while_the_looks_at_suites_hang(cluster: Cluster) -> None:
    held = [cluster.faults.hold("get", "jobs.batch") for _ in range(SUITES)]

    async def ask() -> None:
        # So that its tables are not still being made when the test has ended.
        await in_ledger_thread(await async_ledger_source())

        async def one(number: int) -> None:
            async for event in trigger(number).run():
                assert event.payload == {"state": "gone"}

        waiting = [asyncio.create_task(one(n)) for n in range(SUITES)]
        # As many as there are threads for suites; of the others none has one.
        while cluster.asked.count(ASKED) < 8:
            await asyncio.sleep(0.01)
        assert await in_platform_thread(lambda: "moved") == "moved"
        assert await in_job_thread("another", lambda: "looked at") == "looked at"
        assert cluster.asked.count(ASKED) == 8
        for event in held:
            event.set()
        await asyncio.gather(*waiting)

    asyncio.run(ask())
