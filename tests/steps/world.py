"""A release as its steps see it: real ledger, real sandbox, a metrics server, and a stand-in for the task."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow.sdk import DAG, AssetAlias
from airflow.sdk.definitions.asset import AssetAliasEvent
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.triggers.base import BaseTrigger

from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.domain.identity import PROMOTIONS, Actor
from relman_plugins.domain.severity import Severity, severity_of
from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.domain.status import Decision
from relman_plugins.factory.builder import build_dag
from relman_plugins.hooks.ledger import ledger as configured_ledger
from relman_plugins.ledger.api import Ledger, ReleaseRecord, open_ledger
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Options, ReleasePlan, Shape
from relman_plugins.spec.api import load_pipeline
from relman_plugins.steps.subjects import subject_of

SPECS = {
    "checkout.yaml": """
apiVersion: relman/v1
kind: ReleasePipeline
metadata: {name: checkout, owner: team, description: Card payments}
artifact: {source: ../examples/checkout, build: [python, build.py]}
suites:
  one: {command: [python, one.py], junit: one.xml}
  two: {command: [python, two.py], junit: two.xml}
analyses:
  numbers:
    connection: relman_metrics
    metrics: [{name: errors, query: "errors", max: 0.05}]
stages:
  - environment: staging
    suites: [one, two]
  - environment: production
    gates: [{approval: managers, timeout: 30m, on_timeout: reject}]
    strategy: {canary: {steps: [50, 100], analysis: numbers, interval: 1s, count: 2}}
    monitor: {for: 2s, analysis: numbers, interval: 1s}
""",
    "environments/staging.yaml": """
apiVersion: relman/v1
kind: Environment
metadata: {name: staging, owner: platform, description: Small}
platform: sandbox
connection: relman_sandbox
replicas: 1
""",
    "environments/production.yaml": """
apiVersion: relman/v1
kind: Environment
metadata: {name: production, owner: platform, description: Live}
platform: sandbox
connection: relman_sandbox
replicas: 1
""",
    "people.yaml": """
apiVersion: relman/v1
kind: People
people: {alice: {airflow: alice, name: Alice}, bob: {airflow: bob, name: Bob}}
groups: {managers: [alice, bob]}
""",
}


def shape_in(folder: Path) -> Shape:
    """Compile the pipeline above."""
    for name, text in SPECS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder.parent / "examples" / "checkout").mkdir(parents=True, exist_ok=True)
    loaded = load_pipeline(folder / "checkout.yaml")
    assert loaded.documents is not None, loaded.diagnostics
    return compile_shape(loaded.documents)


class Numbers:
    """A server with Prometheus's query endpoint: every query gives ``value``; None gives nothing.

    A query for what ``counts`` has, ``name{v="version"}`` with or without a ``[window]``, gives that.
    """

    def __init__(self) -> None:
        self.value: float | None = 0.0
        self.counts: dict[tuple[str, str], float | None] = {}
        self.asked: Callable[[], None] = lambda: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked()
                value = outer.value_of(parse_qs(urlsplit(self.path).query)["query"][0])
                found = [] if value is None else [{"metric": {}, "value": [time.time(), str(value)]}]
                body = {"status": "success", "data": {"resultType": "vector", "result": found}}
                raw = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def value_of(self, query: str) -> float | None:
        """Return what a query gives."""
        asked = re.fullmatch(r'(\w+)\{v="([^"]+)"\}(?:\[\d+ms\])?', query)
        return self.counts.get((asked[1], asked[2]), self.value) if asked else self.value

    def count(self, old: tuple[float, float] | None, new: tuple[float, float] | None) -> None:
        """Let 1.0.0 and 1.1.0 have had so many bad requests of so many, each since the beginning."""
        for version, pair in (("1.0.0", old), ("1.1.0", new)):
            for name, value in zip(("bad", "total"), pair or (None, None), strict=True):
                self.counts[name, version] = value

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class TaskInstance:
    """What steps ask of Airflow's task instance."""

    dag_id: str
    run_id: str
    try_number: int
    xcom: dict[str, Any]
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    task_id: str = ""
    states: dict[str, str] = field(default_factory=dict)
    """What Airflow shows of the run's tasks."""

    def get_task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> Any:
        return {self.run_id: {task: self.states[task] for task in task_ids if task in self.states}}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcom[f"{self.task_id}/{key}"] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return self.xcom.get(f"{task_ids}/{key}")


@dataclass
class World:
    """One release of ``shape``, and what tests do to it."""

    home: Path
    ledger: Ledger
    shape: Shape
    dag: DAG
    platform: Any
    revisions: dict[str, Revision]
    xcom: dict[str, Any] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def open(self, version: str = "1.1.0", run_id: str = "run-1", **options: Any) -> Release:
        record = self.ledger.open_release(
            plan=ReleasePlan(shape=self.shape, options=Options(version=version, **options)),
            dag_id=self.dag.dag_id,
            run_id=run_id,
            started_by=Actor(kind="person", id="carol", via="airflow"),
            conf={"version": version},
        )
        return Release(self, record, self.revisions[version])

    def live(self, version: str, environment: str = "production") -> None:
        """Bring an environment to a version, as if it had been there before relman."""
        seen = self.seen(environment)
        desired = DesiredState(stable=self.revisions[version], stable_replicas=1)
        self.platform.converge(environment, "checkout", desired, token=seen.token)

    def seen(self, environment: str = "production") -> ObservedState:
        found: ObservedState = self.platform.observe(environment, "checkout")
        return found

    def weights(self, environment: str = "production") -> dict[str, int]:
        """Version to share of the traffic."""
        seen = self.seen(environment)
        return {s.revision.version: s.weight for s in (seen.stable, seen.candidate) if s}

    @contextmanager
    def without_ledger(self) -> Iterator[None]:
        """Take the ledger away: neither readable nor made anew."""
        self.ledger.close()
        files = [(p, p.with_name("away-" + p.name)) for p in self.home.glob("ledger.db*")]
        for here, there in files:
            here.rename(there)
        (self.home / "ledger.db").mkdir()
        try:
            yield
        finally:
            (self.home / "ledger.db").rmdir()
            for here, there in files:
                there.rename(here)


@dataclass
class Release:
    """A release, its tasks, its record."""

    world: World
    record: ReleaseRecord
    artifact: Revision
    promotions: list[list[AssetAliasEvent]] = field(default_factory=list)
    """What each call of a task told Airflow of assets."""

    @property
    def id(self) -> str:
        return self.record.release_id

    def says(self, kind: Kind, step: str | None = None, key: str = "", **data: Any) -> None:
        """Record an event as a step would."""
        environment = self.world.shape.step(step).environment if step else None
        self.world.ledger.record(
            self.id,
            NewEvent(
                kind=kind,
                key=key or f"{self.id}:{step}:{uuid.uuid4().hex}",
                step=step,
                environment=environment,
                data=data,
            ),
        )

    def finished(self, *steps: str) -> Release:
        """Let steps have ended well."""
        for step in steps:
            if step == "build":
                self.says(Kind.ARTIFACT_BUILT, step, revision=self.artifact.model_dump(mode="json"))
            self.says(Kind.STEP_FINISHED, step, key=f"{self.id}:{step}:finished", message="done")
        return self

    def at_the_gate(self) -> Release:
        """Let everything before production have ended well."""
        return self.finished("open", "build", "staging.deploy", "staging.one", "staging.two")

    def approved(self) -> Release:
        """Let everything before the first change of production have ended well."""
        return self.decided().finished("production.approval")

    def decided(self) -> Release:
        """Let people approve, and the gate's task not know of it yet."""
        self.at_the_gate()
        task = self.world.dag.get_task("production.approval")
        run = task.start(self.context("production.approval"))
        step = self.world.shape.step("production.approval")
        self.world.ledger.votes.open_gate(
            self.id,
            step.id,
            subject=subject_of(run),
            people=run.plan.people(step.id),
            quorum=1,
            timeout_s=600,
            on_timeout="reject",
        )
        self.vote(step.id)
        return self

    def vote(self, gate: str, decision: Decision = Decision.APPROVE) -> None:
        result = self.world.ledger.votes.cast(
            self.id, gate, airflow_user="alice", decision=decision, comment="", via="api"
        )
        assert result.accepted, result.reason

    def person(self, kind: Kind, reason: str = "because") -> None:
        """Let a person hold, resume or abort."""
        actor = Actor(kind="person", id="bob", name="Bob", via="api")
        event = NewEvent(kind=kind, key=f"{self.id}:{uuid.uuid4().hex}", actor=actor, data={"reason": reason})
        assert self.world.ledger.record(self.id, event)

    def context(self, task_id: str, try_number: int = 1) -> Any:
        world, record = self.world, self.record
        ti = TaskInstance(
            record.dag_id, record.run_id, try_number, world.xcom, task_id=task_id, states=world.states
        )
        params = self.record.conf | {"dry_run": self.record.plan.options.dry_run}
        told = OutletEventAccessors()
        self.promotions.append(told[AssetAlias(PROMOTIONS)].asset_alias_events)
        about = {"ti": ti, "params": params, "dag_run": SimpleNamespace(run_type="manual")}
        return about | {"outlet_events": told}

    def run(self, task_id: str, try_number: int = 1) -> TaskDeferred | Any:
        """Execute a task; return what it returned, or how it deferred."""
        return self._caught(lambda: self.task(task_id).execute(self.context(task_id, try_number)))

    def resume(self, task_id: str, deferred: TaskDeferred, event: Any, try_number: int = 1) -> Any:
        """Let a task go on with its trigger's event."""
        method = getattr(self.task(task_id), deferred.method_name)
        return self._caught(lambda: method(self.context(task_id, try_number), event))

    def past_the_gate(self, gate: str = "production.approval") -> Release:
        """Let a gate's task ask, a person approve, and the task end."""
        waiting = self.at_the_gate().run(gate)
        self.vote(gate)
        self.resume(gate, waiting, {"state": "approved"})
        return self

    def task(self, task_id: str) -> Any:
        return self.world.dag.get_task(task_id)

    def events(self, *kinds: Kind) -> list[Event]:
        return self.world.ledger.events(self.id, kinds=kinds or None)

    def kinds(self, step: str | None = None) -> list[Kind]:
        return [e.kind for e in self.events() if step is None or e.step == step]

    @staticmethod
    def _caught(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except TaskDeferred as deferred:
            return deferred


class Shows:
    """Airflow, which shows some tasks of every run green, and all runs still at work."""

    def __init__(self, *green: str) -> None:
        self.green = set(green)

    def exists(self, *_: str) -> bool:
        return True

    def ended(self, *_: str) -> bool:
        return False

    working = ended

    def succeeded(self, _dag: str, _run: str, task_ids: list[str]) -> set[str]:
        return self.green & set(task_ids)


async def payload(trigger: BaseTrigger) -> Any:
    """Run a trigger to its event."""
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


def told(deferred: TaskDeferred) -> Any:
    """Run a trigger to its event, as a triggerer does: made again from what was stored."""
    _, arguments = deferred.trigger.serialize()
    return asyncio.run(payload(type(deferred.trigger)(**arguments | {"minimum_s": 0.0})))


def grades(release: Release, step: str) -> list[Severity]:
    """Return how much the ends of a step that did not go well matter."""
    ends = [e for e in release.events(Kind.STEP_FAILED, Kind.STEP_REFUSED) if e.step == step]
    return [severity_of(e.kind, e.step, e.data) for e in ends]


def make_world(home: Path, platform: Any, revisions: dict[str, Revision]) -> World:
    """Make a world in ``home``, the folder that ``[relman] home`` names."""
    shape = shape_in(home / "specs" / "release_specs")
    (home / "ledger.db").write_bytes(_empty_ledger())
    ledger = configured_ledger()
    made = World(home, ledger, shape, build_dag(shape, {}), platform, revisions)
    with sqlite3.connect(home / "ledger.db") as database:
        # The daemon outlives the test's ledger and never forgets a token.
        rows = [(name, "checkout", made.seen(name).token) for name in ("staging", "production")]
        database.executemany("INSERT INTO token (environment, service, last) VALUES (?, ?, ?)", rows)
    return made


@cache
def _empty_ledger() -> bytes:
    """Return a ledger of this version, empty: to migrate one for each test takes as long as the test."""
    with TemporaryDirectory() as home:
        open_ledger(f"sqlite:///{home}/ledger.db").close()
        return Path(home, "ledger.db").read_bytes()
