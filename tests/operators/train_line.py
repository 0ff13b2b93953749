"""What the tests of a train's departures are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    DagRunTriggerException,
    TaskDeferred,
)

from relman_plugins.domain.identity import Actor
from relman_plugins.factory.builder import build_dag
from relman_plugins.factory.train import build_train
from relman_plugins.hooks.ledger import ledger
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Shape
from relman_plugins.spec.api import load_pipeline

DEPARTS = datetime(2026, 12, 1, 9, tzinfo=UTC)
NEXT = datetime(2026, 12, 8, 9, tzinfo=UTC)
ALICE = Actor(kind="person", id="alice", name="Alice", via="cli")
FILE = "version: {file: VERSION}"
SPEC = """\
apiVersion: relman/v1
kind: ReleasePipeline
metadata: {name: shop, owner: team}
artifact: {source: ..}
stages: [{environment: live}]
notify: {slack: "#rel-shop"}
schedule:
  days: [tue]
  at: "10:00"
  zone: Europe/Berlin
"""
LIVE = """\
apiVersion: relman/v1
kind: Environment
metadata: {name: live, owner: team}
platform: sandbox
connection: relman_sandbox
replicas: 1
"""


@dataclass
class Line:
    """A pipeline with a train, and a clock that the test moves."""

    folder: Path
    clock: Any

    @property
    def ledger(self) -> Ledger:
        return ledger()

    @property
    def trains(self) -> Any:
        return self.ledger.trains

    def shape(self) -> Shape:
        loaded = load_pipeline(self.folder / "shop.yaml")
        assert loaded.documents is not None, loaded.diagnostics
        return compile_shape(loaded.documents)

    def spec(self, *lines: str) -> None:
        (self.folder / "shop.yaml").write_text(SPEC + "".join(f"  {line}\n" for line in lines))

    def at(self, moment: datetime) -> None:
        self.clock.move_to(moment)

    def add(self, version: str) -> None:
        self.trains.act("shop", "add", actor=ALICE, reason="it is ready", version=version)

    def wait(self, departs: datetime = DEPARTS) -> datetime:
        """Run the task until it waits; return until when."""
        with pytest.raises(TaskDeferred) as deferred:
            self.depart(departs)
        return datetime.fromisoformat(deferred.value.trigger.until)

    def depart(self, departs: datetime = DEPARTS, run_type: str = "scheduled") -> None:
        """Run the task of the train's DAG, as Airflow would."""
        task = build_train(self.shape(), "relman_plugins.operators.depart.DepartOperator").get_task("depart")
        run = SimpleNamespace(run_type=run_type, data_interval_end=departs)
        task.execute({"dag_run": run})

    def starts(self, departs: datetime = DEPARTS) -> DagRunTriggerException:
        with pytest.raises(DagRunTriggerException) as started:
            self.depart(departs)
        return started.value

    def open(self, started: DagRunTriggerException, user: str | None = None, **more: Any) -> ReleaseRecord:
        """Open the release of the run that a departure started, as Airflow would."""
        dag: DAG = build_dag(self.shape(), {})
        ti = SimpleNamespace(dag_id=dag.dag_id, run_id=started.dag_run_id, try_number=1, task_id="open")
        run = SimpleNamespace(run_type="manual", triggering_user_name=user)
        given = dict.fromkeys(("version", "changes", "ticket", "emergency", "emergency_reason", "dry_run"))
        dag.get_task("open").execute(
            {"ti": ti, "dag_run": run, "params": given | (started.conf or {}) | more}
        )
        found = self.ledger.release_of_run(dag.dag_id, started.dag_run_id)
        assert found is not None
        return found


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comms: list[Any]) -> Iterator[Line]:
    folder = tmp_path / "release_specs"
    (folder / "environments").mkdir(parents=True)
    (folder / "environments" / "live.yaml").write_text(LIVE)
    (folder / "VERSION").write_text("1.4.0\n")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", str(folder))
    with time_machine.travel(DEPARTS, tick=False) as clock:
        made = Line(folder, clock)
        made.spec(FILE)
        yield made
        made.ledger.close()
