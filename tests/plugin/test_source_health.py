"""Whether sources of numbers answer is said of those that releases ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import Ledger
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Options, ReleasePlan
from relman_plugins.plugin.source_health import sources
from tests.plan.make import documents, environment, pipeline


def test_each_source_says_whether_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"sql": "health_orders", "prometheus": "health_metrics", "loki": "health_nowhere"}
    query, metric = {"sql": "SELECT 1"}, {"name": "a", "max": 1.0}
    analyses = {
        name: {"source": name, "connection": conn, "metrics": [metric | {"query": query.get(name, "a")}]}
        for name, conn in asked.items()
    }
    stages = [
        {"environment": "a", "name": name, "monitor": {"for": "1h", "analysis": name}} for name in analyses
    ]
    spec = pipeline(stages, analyses=analyses)
    plan = ReleasePlan(shape=compile_shape(documents(spec, [environment("a")])), options=Options(version="1"))
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.migrate()
    ledger.open_release(plan=plan, dag_id="d", run_id="r", started_by=Actor(), conf={})
    orders = {"conn_type": "sqlite", "host": str(tmp_path / "orders.db")}
    monkeypatch.setenv("AIRFLOW_CONN_HEALTH_ORDERS", json.dumps(orders))
    away = {"conn_type": "relman_prometheus", "host": "http://reader:s3cret@127.0.0.1:9"}
    monkeypatch.setenv("AIRFLOW_CONN_HEALTH_METRICS", json.dumps(away))
    found = {one["connection"]: one for one in sources(ledger)}
    ledger.close()
    well = found["health_orders"]
    assert (well["source"], well["message"]) == ("SQL database", "answers")
    assert not found["health_metrics"]["ok"]
    assert "got no answer" in found["health_metrics"]["message"]
    assert "s3cret" not in found["health_metrics"]["message"]
    assert "cannot read connection 'health_nowhere' of Loki" in found["health_nowhere"]["message"]
