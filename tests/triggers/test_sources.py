"""A release whose numbers come from a database, and one whose numbers are counts of log lines."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.plan.model import AnalysisPlan, ComparedPlan, ComparisonPlan, MetricPlan
from relman_plugins.triggers.analysis import AnalysisTrigger
from tests.clients.metrics.vendors import Asked, Vendor
from tests.steps.world import Release, payload

STEP = "production.canary_50"


@pytest.fixture
def serving() -> Iterator[Callable[[Vendor], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(vendor: Vendor) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                vendor(self)

            def log_message(self, *_: Any) -> None:
                """Keep the tests' output clean."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def watched(release: Release, **analysis: Any) -> dict[str, Any]:
    """Run a canary's step whose watch asks another source; return how it ended."""
    trigger = release.run(STEP).trigger
    plan = AnalysisPlan(name="numbers", **analysis)
    watch = trigger.watch.model_copy(update={"analysis": plan, "false_alarms": 0.02})
    arguments = trigger.serialize()[1] | {"watch": watch.model_dump(mode="json")}
    return asyncio.run(asyncio.wait_for(payload(AnalysisTrigger(**arguments)), 60))


def test_bad_numbers_of_a_database_take_the_traffic_back(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orders.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (version text, failed int)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [("1.0.0", 0)] * 9 + [("1.1.0", 1)] * 5)
    monkeypatch.setenv("AIRFLOW_CONN_ORDERS", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    count = "SELECT {} FROM orders WHERE version = $version"
    metric = MetricPlan(
        name="failed",
        query=count.format("avg(failed)"),
        samples=count.format("count(*)"),
        min_samples=5,
        max=0.1,
    )
    event = watched(release, source="sql", connection="orders", metrics=(metric,))
    assert (event["verdict"], event["reason"]) == ("fail", "failed: 1 is above 0.1 (failed look 1)")
    assert release.world.weights() == {"1.0.0": 100}
    (look,) = release.events(Kind.ANALYSIS_MEASURED)
    assert look.data["metrics"][0]["samples"] == 5


def test_counts_of_log_lines_of_both_versions_are_compared(
    release: Release, serving: Callable[[Vendor], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(asked: Asked) -> Any:
        lucene = asked.json["query"]["bool"]["filter"][0]["query_string"]["query"]
        bad, old = "level:error" in lucene, r'"1.0.0"' in lucene
        count = {(True, True): 1, (False, True): 200, (True, False): 90, (False, False): 200}[bad, old]
        return {"count": count, "_shards": {"total": 1, "successful": 1, "failed": 0}}

    logs = Vendor(counted)
    monkeypatch.setenv("AIRFLOW_CONN_LOGS", json.dumps({"conn_type": "http", "host": serving(logs)}))
    metric = ComparedPlan(
        name="errors",
        bad='logs-* level:error AND version:"$version"',
        total='logs-* version:"$version"',
    )
    comparison = ComparisonPlan(
        metrics=(metric,), false_alarms=0.02, tolerance=0.25, undecided="inconclusive", early_pass=False
    )
    event = watched(release, source="elasticsearch", connection="logs", comparison=comparison)
    assert event["verdict"] == "fail"
    assert "90 of 200 (45 %) bad, of the old version 1 of 200" in event["reason"]
    assert release.world.weights() == {"1.0.0": 100}
    assert {asked.path for asked in logs.asked} == {"/logs-*/_count"}


def test_a_source_that_nobody_can_ask_is_an_error_and_people_decide(release: Release) -> None:
    metric = MetricPlan(name="failed", query="SELECT 1", max=0.1)
    trigger = release.run(STEP).trigger
    plan = AnalysisPlan(name="numbers", source="sql", connection="nowhere", metrics=(metric,))
    watch = trigger.watch.model_copy(update={"analysis": plan, "interval_s": 0.05, "count": 9})
    arguments = trigger.serialize()[1] | {"watch": watch.model_dump(mode="json")}
    event = asyncio.run(asyncio.wait_for(payload(AnalysisTrigger(**arguments)), 60))
    assert event["verdict"] == "error"
    assert "5 times in a row: cannot read connection 'nowhere' of SQL database" in event["reason"]
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}
