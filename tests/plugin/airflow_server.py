"""A real Airflow API server for tests: own home, own databases, SimpleAuthManager with real passwords."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.ledger.api import open_ledger
from relman_plugins.plan.model import EnvironmentPlan, Options, ReleasePlan, Shape, Step, StepKind
from relman_plugins.testing.slack import SECRET, TOKEN, SlackServer

ROOT = Path(__file__).resolve().parents[2]
ROLES = {"admin": "admin", "alice": "user", "bob": "user", "carol": "user", "uma": "user", "vera": "viewer"}
GATE = "production.approval"
PEOPLE = (
    Person(id="alice", airflow="alice", name="Alice Example", slack="U01ALICE"),
    Person(id="bob", airflow="bob", name="Bob Example", slack="U02BOB"),
    Person(id="vera", airflow="vera", name="Vera Example", slack="U03VERA"),
)

DAGS = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, Param, TaskGroup
from relman_plugins.factory.rollback import build_rollback
from relman_plugins.factory.timetable import TrainTimetable

with DAG("release__checkout", schedule=None, params={
    "version": Param("1.0.0", type="string", pattern="^[0-9][0-9.]*$"),
    "changes": Param("", type="string"),
    "emergency": Param(False, type="boolean"),
    "dry_run": Param(False, type="boolean"),
}):
    with TaskGroup("production"):
        EmptyOperator(task_id="approval") >> EmptyOperator(task_id="deploy")
    EmptyOperator(task_id="follow_up")

with DAG("release__lab", schedule=None):
    EmptyOperator(task_id="load", pool="lab", pool_slots=2)

with DAG("release__gone", schedule=None, tags=["relman-invalid"]):
    EmptyOperator(task_id="open")

rollback = build_rollback()

TUESDAYS = {
    "departs": {"cron": "0 10 * * 2", "zone": "Europe/Berlin"},
    "words": "Tue at 10:00 (Europe/Berlin)",
    "source": {"kind": "git", "place": "..", "prefix": "v"},
    "cutoff_s": 7200,
    "slack_channel": "#rel-checkout",
}
with DAG("train__checkout", schedule=TrainTimetable(TUESDAYS), catchup=False):
    EmptyOperator(task_id="depart")

PUBLISHED = TrainTimetable({"departs": {"assets": ["lab-image"]}, "words": "with each event of lab-image"})
lab = DAG("train__lab", schedule=AssetOrTimeSchedule(timetable=PUBLISHED, assets=[Asset("lab-image")]))

with DAG("other", schedule=None):
    EmptyOperator(task_id="ask")
"""


KEY = "MC4CAQAwBQYDK2VwBCIEIF9oslxpW+StE/NuUoAbN6yCTgGDVPcUMi6+opMWTyZW"
"""Private key of the test server, made for this line: what stands between the first and last line in PEM."""
_PUBLIC = "MCowBQYDK2VwAyEAYZ78Rde1s2qlO3iWySiMG8ocJ/8ycnXFdLCZvZGI1ww="
PUBLIC = f"-----BEGIN PUBLIC KEY-----\n{_PUBLIC}\n-----END PUBLIC KEY-----\n"


class Server:
    """One API server process on a loopback port, and its databases."""

    def __init__(
        self, home: Path, extra: Mapping[str, str] | None = None, roles: Mapping[str, str] = ROLES
    ) -> None:
        self.home = home
        self.roles = roles
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "RELMAN"))} | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{u}:{r}" for u, r in roles.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout=60",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-test-server-" + "0123456789" * 5,
            "AIRFLOW__API__SECRET_KEY": "only-for-this-test-server-too",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            **(extra or {}),
        }
        self.slack: SlackServer | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._tokens: dict[str, str] = {}

    @property
    def ledger(self) -> Any:
        """The ledger that the server uses too."""
        return open_ledger(f"sqlite:///{self.home / 'relman' / 'ledger.db'}")

    def prepare(self) -> None:
        """Create the metadata database with the test DAGs in it."""
        (self.home / "dags").mkdir(parents=True)
        (self.home / "dags" / "tests.py").write_text(DAGS)
        (self.home / "passwords.json").write_text(json.dumps({user: user for user in self.roles}))
        for command in (["db", "migrate"], ["dags", "reserialize"]):
            run = ["airflow", *command]
            done = subprocess.run(run, env=self.env, cwd=self.home, capture_output=True, text=True)
            assert done.returncode == 0, f"airflow {' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        with closing(sqlite3.connect(self.home / "airflow.db")) as db, db:
            # Nothing runs here; the doctor is to find that somebody would take care of waits.
            job = "INSERT INTO job (state, job_type, latest_heartbeat) VALUES ('running', 'TriggererJob', ?)"
            db.execute(job, ("2126-01-01 00:00:00",))

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = self.home / f"api-server-{self.port}.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["airflow", "api-server", "--port", str(self.port), "--host", "127.0.0.1", "--workers", "1"],
                env=self.env,
                cwd=self.home,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        atexit.register(self.stop)
        pause = threading.Event()
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/api/v2/version", trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            if self._process.poll() is not None:
                break
            pause.wait(0.25)
        raise AssertionError(f"the API server did not come up:\n{log.read_text()[-6000:]}")

    def stop(self) -> None:
        """Kill the server's whole process group."""
        if self._process is None:
            return
        for signum in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, signum)
                self._process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self._process = None

    def token(self, user: str) -> str:
        """Return a token that the server issued for this user's password."""
        if user not in self._tokens:
            answer = httpx.post(
                f"{self.url}/auth/token", json={"username": user, "password": user}, trust_env=False
            )
            self._tokens[user] = answer.raise_for_status().json()["access_token"]
        return self._tokens[user]

    def ask(
        self, method: str, path: str, user: str | None = None, *, cookie: bool = False, **kwargs: Any
    ) -> Any:
        """Send a request as ``user``: with a Bearer header, or with the browser's cookie."""
        headers = dict(kwargs.pop("headers", {}))
        if user and cookie:
            headers["Cookie"] = f"_token={self.token(user)}"
        elif user:
            headers["Authorization"] = f"Bearer {self.token(user)}"
        with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client:
            return client.request(method, path, headers=headers, **kwargs)

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Create a DAG run through the public API and return its id."""
        answer = self.ask(
            "POST", f"/api/v2/dags/{dag_id}/dagRuns", "admin", json={"logical_date": None, "conf": conf}
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["dag_run_id"])

    def shipped(
        self, previous: str = "1.0.0", version: str = "1.1.0", environment: str = "production"
    ) -> Any:
        """Return a release that took an environment from one version to another, and succeeded."""
        run_id = self.trigger("release__checkout", version=version)
        record = self.ledger.open_release(
            plan=ReleasePlan(shape=SHAPE, options=Options(version=version)),
            dag_id="release__checkout",
            run_id=run_id,
            started_by=Actor(kind="person", id="admin", name="admin", via="airflow"),
            conf={"version": version},
        )
        old, new = (
            {"version": v, "digest": f"sha256:{v:a>64}", "uri": f"file:///{v}"} for v in (previous, version)
        )
        desired = {"stable": new, "stable_replicas": 1}
        changed = {"desired": desired, "token": 1, "previous": old, "stable": new, "promoted": True}
        for kind, data in (
            (Kind.ARTIFACT_BUILT, {"revision": new}),
            (Kind.CHANGE_STARTED, changed),
            (Kind.CHANGE_FINISHED, changed),
            (Kind.RELEASE_CLOSED, {"outcome": "succeeded", "reason": ""}),
        ):
            where = environment if "change" in kind else None
            key = f"{record.release_id}:{kind}"
            event = NewEvent(kind=kind, key=key, step="production.deploy", environment=where, data=data)
            assert self.ledger.record(record.release_id, event)
        return record

    def ask_people(self, dag_id: str, run_id: str, task_id: str, digest: str = "") -> None:
        """Put a Required Action on a task, as a parked gate does: its text names what it is about."""
        body = f"All of this: `{digest[:-32]}` `{digest[-32:]}`" if digest else None
        with sqlite3.connect(self.home / "airflow.db", timeout=30) as db:
            where = "WHERE dag_id = ? AND run_id = ? AND task_id = ?"
            (ti_id,) = db.execute(
                f"SELECT id FROM task_instance {where}", (dag_id, run_id, task_id)
            ).fetchone()
            db.execute(f"UPDATE task_instance SET state = 'deferred' {where}", (dag_id, run_id, task_id))
            db.execute(
                "INSERT INTO hitl_detail "
                "(ti_id, options, subject, body, multiple, params, created_at, params_input) "
                "VALUES (?, ?, ?, ?, 0, '{}', ?, '{}')",
                (
                    ti_id,
                    json.dumps(["Approve", "Reject"]),
                    "Approve?",
                    body,
                    datetime.now(UTC).isoformat(" "),
                ),
            )

    def native_answer(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return who answered a Required Action in Airflow's own table, or None."""
        with sqlite3.connect(self.home / "airflow.db", timeout=30) as db:
            (answer,) = db.execute(
                "SELECT h.responded_by FROM hitl_detail h JOIN task_instance t ON t.id = h.ti_id "
                "WHERE t.dag_id = ? AND t.run_id = ? AND t.task_id = ?",
                (dag_id, run_id, task_id),
            ).fetchone()
        return None if answer in (None, "null") else json.loads(answer)

    def release(
        self,
        version: str = "1.1.0",
        quorum: int = 1,
        items: Mapping[str, str] | None = None,
        dry_run: bool = False,
        people: Sequence[Person] = PEOPLE,
        shape: Shape | None = None,
        rules: Sequence[Rule] = (),
        own: Mapping[str, str] | None = None,
    ) -> Any:
        """Start a run, open its release in the ledger and let it wait at its gate; return the record.

        With ``items`` (by id) the gate is a checklist. ``own`` says whose own release it is.
        """
        listed = [{"id": name, "item": item} for name, item in (items or {}).items()]
        run_id = self.trigger("release__checkout", version=version)
        record = self.ledger.open_release(
            plan=ReleasePlan(
                shape=shape or SHAPE,
                options=Options(version=version, changes="faster checkout", dry_run=dry_run),
            ),
            dag_id="release__checkout",
            run_id=run_id,
            started_by=Actor(kind="person", id="admin", name="admin", via="airflow"),
            conf={"version": version},
        )
        gate = self.ledger.votes.open_gate(
            record.release_id,
            GATE,
            subject=subject(record) | ({"checklist": listed} if listed else {}),
            people=people,
            quorum=quorum,
            rules=rules,
            own=own,
            timeout_s=600,
            on_timeout="reject",
        )
        self.ask_people("release__checkout", run_id, GATE, gate.subject_digest)
        return record


def slack_connection(slack: SlackServer) -> str:
    """Return Airflow's connection to a Slack server, as the value of an environment variable."""
    extra = {"base_url": slack.base_url, "signing_secret": SECRET}
    return json.dumps({"conn_type": "slack", "password": TOKEN, "extra": json.dumps(extra)})


def subject(record: Any) -> dict[str, Any]:
    """Return what an approval of this release is about."""
    return {
        "release_id": record.release_id,
        "pipeline": record.pipeline,
        "version": record.version,
        "artifact_digest": "sha256:" + "a" * 64,
        "plan_hash": record.plan_hash,
        "spec_digest": record.spec_digest,
        "environment": "production",
        "changes": "faster checkout",
        "tests": [{"suite": "api", "tests": 7, "failures": 0, "skipped": 1}],
    }


SHAPE = Shape(
    pipeline="checkout",
    owner="team-payments",
    description="Card payments",
    service="checkout",
    spec_digest="sha256:" + "b" * 64,
    steps=(
        Step(id="open", kind=StepKind.OPEN),
        Step(
            id=GATE,
            kind=StepKind.APPROVAL,
            stage="production",
            environment="production",
            needs=("open",),
            args={
                "gate": GATE,
                "group": "release-managers",
                "quorum": 1,
                "people": [p.model_dump(mode="json") for p in PEOPLE],
                "timeout_s": 600,
                "on_timeout": "reject",
            },
        ),
        Step(
            id="production.deploy",
            kind=StepKind.DEPLOY,
            stage="production",
            environment="production",
            needs=(GATE,),
            gates=(GATE,),
            changes=True,
            args={"weight": 100},
        ),
        Step(id="close", kind=StepKind.CLOSE, needs=("production.deploy",)),
        Step(id="follow_up", kind=StepKind.FOLLOW_UP, needs=("close",), args={"after": ["failed"]}),
    ),
    environments=(
        EnvironmentPlan(
            name="production", platform="sandbox", connection="relman_sandbox", replicas=2, ephemeral=False
        ),
    ),
    slack_channel="#rel-checkout",
)


def _die_with_parent() -> None:
    # A test run that is killed runs no clean-up: Linux then ends the server (1 is PR_SET_PDEATHSIG).
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@cache
def running() -> Server:
    """Return the one server of this test process, started at the first call."""
    home = Path(tempfile.mkdtemp(prefix="relman-airflow-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    server = Server(home)
    # A busy machine may need longer than Slack's three seconds; what is tested here is what comes of a press.
    door = f"{server.url}/relman/slack"
    slack = SlackServer(interactivity=f"{door}/interactivity", commands=f"{door}/commands", patience_s=30)
    server.slack = slack.__enter__()
    server.env["AIRFLOW_CONN_RELMAN_SLACK"] = slack_connection(slack)
    server.env["AIRFLOW__RELMAN__SIGNING_CONN_ID"] = "relman_signing"
    server.env["AIRFLOW_CONN_RELMAN_SIGNING"] = json.dumps({"conn_type": "relman_signing", "password": KEY})
    server.prepare()
    server.start()
    return server
