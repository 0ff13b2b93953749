"""A whole Airflow, real in every part, on pipelines that are made for being broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from relman_plugins.clients.http import client, request
from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.ledger.api import Ledger, open_ledger
from relman_plugins.platforms.archive import pack
from relman_plugins.platforms.base import Platform
from relman_plugins.platforms.registry import platform
from relman_plugins.testing.demo_api import ANSWER_S, AirflowUser
from relman_plugins.testing.stack import Stack
from relman_plugins.testing.stack_config import USERS
from tests.conftest import Postgres
from tests.evidence.standing import all_good
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
SPECS = Path(__file__).parent / "specs"
PATIENCE_S = 300.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(1500))


@dataclass
class World:
    """The running system, and what tests do with it."""

    stack: Stack
    ledger_url: str
    admin: AirflowUser
    people: dict[str, AirflowUser]
    revisions: dict[str, Revision] = field(default_factory=dict)
    starting: Lock = field(default_factory=Lock)
    """One start at a time: with many, a SQLite database answers the others that it is locked."""

    @property
    def ledger(self) -> Ledger:
        return open_ledger(self.ledger_url)

    @contextmanager
    def without_ledger(self) -> Iterator[None]:
        """Let nobody reach the ledger's database, a server's: who is connected is thrown out."""
        if not self.ledger_url.startswith("postgresql"):
            pytest.skip("the ledger is a file: there is no server that could refuse")
        name = make_url(self.ledger_url).database
        admin = create_engine(
            make_url(self.ledger_url).set(database="postgres"), isolation_level="AUTOCOMMIT"
        )
        allow = text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        deny = text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        out = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        try:
            with admin.connect() as conn:
                conn.execute(deny)
                conn.execute(out, {"name": name})
            yield
        finally:
            with admin.connect() as conn:
                conn.execute(allow)
            admin.dispose()

    def ledger_now(self) -> datetime:
        return datetime.now(UTC)

    @property
    def specs(self) -> Path:
        return self.stack.repo / "release_specs"

    def sandbox(self) -> Platform:
        host, _, port = self.stack.addresses.sandbox.removeprefix("http://").rstrip("/").partition(":")
        return platform("sandbox", host=host, port=int(port))

    def seen(self, environment: str, service: str) -> ObservedState:
        return self.sandbox().observe(environment, service)

    def found(self, environment: str, service: str, version: str = "1.0.0", replicas: int = 1) -> None:
        """Bring an environment to a version, as if it had been there before relman."""
        if version not in self.revisions:
            tree = self.stack.folders.home / "built" / version
            subprocess.run(
                [sys.executable, "build.py"],
                cwd=self.stack.repo / "checkout",
                env={**os.environ, "RELMAN_VERSION": version, "RELMAN_OUTPUT": str(tree)},
                check=True,
            )
            self.revisions[version] = pack(tree, self.stack.folders.artifacts).revision(version)
        observed = self.seen(environment, service)
        desired = DesiredState(stable=self.revisions[version], stable_replicas=replicas)
        self.sandbox().converge(environment, service, desired, token=max(1, observed.token))

    def users(self, environment: str, service: str, rate: int = 30) -> None:
        """Send traffic to an environment until the stack stops."""
        self.stack.relman(
            f"traffic-{environment}-{service}",
            "relman_plugins.testing.traffic",
            *("--url", f"{self.stack.addresses.front}/{environment}/{service}/checkout"),
            *("--body", '{"items": [{"article": "mug"}]}', "--rate", str(rate)),
            *("--report", str(self.stack.folders.home / f"traffic-{environment}-{service}.json")),
        )

    def start(self, pipeline: str, version: str = "1.1.0", **conf: Any) -> Run:
        dag_id = f"release__{pipeline}"
        with self.starting:
            run_id = self.admin.trigger(dag_id, {"version": version, **conf})
        release = eventually(
            lambda: self.ledger.release_of_run(dag_id, run_id), f"release of {run_id}", every_s=0.2
        )
        return Run(self, dag_id, run_id, release.release_id)

    def call(self, user: str, method: str, path: str, **json: Any) -> tuple[int, Any]:
        """Send a request as a user; return status and body, whatever they are."""
        token = self.people[user]._http.headers["Authorization"]
        with client(self.stack.addresses.airflow, headers={"Authorization": token}, timeout=ANSWER_S) as http:
            answer = http.request(method, path, json=json or None)
        return answer.status_code, answer.json() if answer.content else None


@dataclass
class Run:
    """One release, and its run."""

    world: World
    dag_id: str
    run_id: str
    release_id: str

    @property
    def path(self) -> str:
        return f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}"

    def kinds(self) -> list[str]:
        return [e.kind.value for e in self.world.ledger.events(self.release_id)]

    def events(self, kind: str) -> list[Any]:
        return [e for e in self.world.ledger.events(self.release_id) if e.kind.value == kind]

    def until(self, kind: str, step: str | None = None, within_s: float = PATIENCE_S) -> Any:
        """Wait for an event; what it stands at instead is told as it is when the patience has ended."""
        try:
            return eventually(
                lambda: next((e for e in self.events(kind) if step is None or e.step == step), None),
                f"{kind} of {step or 'any step'} in {self.release_id}",
                within_s,
                every_s=0.2,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.standing()}") from None

    def standing(self) -> str:
        """Tell where the release stands, in the record and in Airflow."""
        recorded = self.world.ledger.events(self.release_id)
        events = [f"{e.kind.value} {e.step or ''} {e.data}" for e in recorded]
        tasks = [
            f"{t['task_id']}: {t['state']}, try {t['try_number']}"
            for t in self.world.admin.tasks(self.dag_id, self.run_id)
            if t["state"]
        ]
        return "\n".join([*events[-8:], *tasks])

    def outcome(self, within_s: float = PATIENCE_S) -> str:
        """Wait for the end; return the outcome."""
        return str(self.until("release.closed", within_s=within_s).data["outcome"])

    def state(self) -> str:
        """Wait for the run's end in Airflow; return its state."""
        return eventually(
            lambda: (
                s
                if (s := self.world.admin.run_state(self.dag_id, self.run_id)) in ("success", "failed")
                else None
            ),
            f"end of {self.run_id}",
        )

    def task(self, task_id: str) -> str | None:
        return {t["task_id"]: t["state"] for t in self.world.admin.tasks(self.dag_id, self.run_id)}[task_id]

    def parked(self, task_id: str) -> None:
        eventually(lambda: self.task(task_id) == "deferred", f"{task_id} waiting")

    def answer(self, user: str, gate: str, option: str) -> tuple[int, Any]:
        path = f"{self.path}/taskInstances/{gate}/-1/hitlDetails"
        return self.world.call(user, "PATCH", path, chosen_options=[option], params_input={})

    def unlocked(self) -> None:
        """Wait until the release holds no lock any more: closing gives them back after it is recorded."""
        held = self.world.ledger.locks.held
        eventually(lambda: not held(self.release_id), f"{self.release_id} without locks")

    def asked(self, gate: str) -> None:
        """Wait until the gate is there for people to answer."""
        eventually(
            lambda: self.world.admin.required_action(self.dag_id, self.run_id, gate), f"question {gate}"
        )


BASES = os.environ.get("RELMAN_TEST_BASES", "")
"""``sqlite`` or ``postgresql`` for both; else Airflow has its tables in SQLite, and relman in PostgreSQL."""


@pytest.fixture(scope="module")
def bases(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str]]]:
    """The ledger's address, empty for the embedded one, and what Airflow is told of both databases.

    On PostgreSQL the ledger is reached through a connection, as in a real installation.
    """
    if BASES == "sqlite":
        yield "", {}
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with ExitStack() as stack:
        ledger = stack.enter_context(postgres.database())
        more = metadata_at(stack.enter_context(postgres.database())) if BASES == "postgresql" else {}
        yield ledger, ledger_at(ledger) | more


@pytest.fixture(scope="module")
def airflow_settings() -> dict[str, str]:
    """What a module's Airflow is told beyond the usual, as environment variables."""
    return {}


@pytest.fixture(scope="module")
def reparse_s() -> int:
    """After how many seconds a module's Airflow reads the specs again; one that edits them says fewer.

    Every two seconds it takes a tenth of a core, as much as the scheduler.
    """
    return 30


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a module's Airflow has its DAG files and specs from, with the specs in it."""
    repo = tmp_path_factory.mktemp("repo")
    shutil.copytree(SPECS, repo / "release_specs")
    _calendars(repo / "release_specs" / "calendars")
    return repo


@pytest.fixture(scope="module")
def world(
    repo: Path,
    bases: tuple[str, dict[str, str]],
    airflow_settings: dict[str, str],
    reparse_s: int,
) -> Iterator[World]:
    ledger, extra = bases
    with running(repo, extra | airflow_settings, ledger, reparse_s=reparse_s) as found:
        yield found


@contextmanager
def running(
    repo: Path,
    extra: Mapping[str, str],
    ledger_url: str = "",
    users: Mapping[str, str] = USERS,
    sign_up: Callable[[Stack], None] = lambda _stack: None,
    reparse_s: int = 30,
) -> Iterator[World]:
    """Start an Airflow on the specs in ``repo``; without ``ledger_url`` the ledger is the embedded one.

    ``sign_up`` makes ``users`` where the auth manager does not have them from its configuration.
    """
    fill(repo)
    # What is left at the end is left for nobody; and a busy machine is no reason for a warning in Slack.
    stack = Stack(
        repo / "state",
        repo,
        reparse_s=reparse_s,
        extra=extra,
        users=users,
        grace_s=0.5,
        slack_patience_s=30,
        ready_timeout_s=PATIENCE_S,
    )
    with stack, ThreadPoolExecutor(8) as doors:
        sign_up(stack)
        airflow = stack.addresses.airflow
        people = dict(zip(users, doors.map(lambda u: AirflowUser(airflow, u, u), users), strict=True))
        found = World(stack, ledger_url or f"sqlite:///{stack.folders.ledger}", people["admin"], people)
        dags = [f"release__{p.stem}" for p in (repo / "release_specs").glob("*.yaml") if p.stem != "people"]
        for dag_id in dags:
            eventually(lambda dag_id=dag_id: found.admin.has_dag(dag_id), dag_id)
        yield found
        # Whatever these tests have done to releases: the record of each fits together.
        assert all_good(found.ledger)
        for user in people.values():
            user.close()


def fill(repo: Path) -> None:
    """Put what is not a spec into the folder: the DAG file, and a service to release. Idempotent."""
    shutil.copytree(ROOT / "dags", repo / "dags", dirs_exist_ok=True)
    shutil.copytree(ROOT / "examples" / "checkout", repo / "checkout", dirs_exist_ok=True)


def slack_transcript(world: World) -> list[Any]:
    with client(world.stack.addresses.slack) as http:
        return list(request(http, "GET", "/_transcript").json()["channels"])


def ledger_at(database: str) -> dict[str, str]:
    """Return the settings by which Airflow has the ledger on PostgreSQL: through a connection."""
    url = make_url(database)
    connection = {
        "conn_type": "postgres",
        "host": url.query["host"],
        "login": url.username,
        "schema": url.database,
    }
    return {
        "AIRFLOW__RELMAN__LEDGER_CONN_ID": "relman_ledger",
        "AIRFLOW_CONN_RELMAN_LEDGER": json.dumps(connection),
    }


def metadata_at(database: str) -> dict[str, str]:
    """Return the settings by which Airflow has its own tables on PostgreSQL."""
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.replace("psycopg:", "psycopg_async:"),
    }


def _calendars(folder: Path) -> None:
    """Write a freeze that ends while the tests run, and two windows that open hours later."""

    def write(name: str, *windows: str) -> None:
        lines = ["kind: Calendar", f"metadata: {{name: {name}, owner: tests}}", "zone: UTC", "windows:"]
        (folder / f"{name}.yaml").write_text("\n".join(["apiVersion: relman/v1", *lines, *windows, ""]))

    def once(name: str, effect: str, begins: timedelta, ends: timedelta) -> str:
        at = [f'"{datetime.now(UTC) + d:%Y-%m-%dT%H:%M:%S}"' for d in (begins, ends)]
        return f"  - {{name: {name}, effect: {effect}, once: {{from: {at[0]}, until: {at[1]}}}}}"

    hours = [timedelta(hours=n) for n in range(2, 6)]
    write("company", once("start-up", "deny", timedelta(days=-1), timedelta(minutes=2)))
    write("shifts", once("early", "allow", *hours[:2]), once("late", "allow", *hours[2:]))
