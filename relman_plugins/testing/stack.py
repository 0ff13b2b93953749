"""A whole Airflow with everything a release touches, as processes that this process owns.

Sandbox daemon, Slack server, API server, scheduler, DAG processor and triggerer; SQLite and LocalExecutor;
on loopback, on ports that are free; everything they write in one folder::

    with Stack(home=Path(".relman/now"), repo=Path(".")) as stack:
        print(stack.addresses.airflow)

Leaving the block stops every process, and every process that those started. `airflow standalone` cannot be
used for this: killed, it leaves its parts running.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from relman_plugins.clients.http import client, request
from relman_plugins.errors import ClientError
from relman_plugins.platforms.sandbox.process import HOME as SANDBOX_HOME
from relman_plugins.testing.slack_interactive import PATIENCE_S
from relman_plugins.testing.stack_config import (
    SLACK_PATH,
    SLACK_SECRET,
    SLACK_TOKEN,
    USERS,
    Addresses,
    Folders,
    environment,
    free_port,
    write_passwords,
)
from relman_plugins.testing.stack_lock import HomeLock
from relman_plugins.testing.stack_process import Managed, Processes, StackError
from relman_plugins.testing.stack_signals import unstoppable

AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
"""Airflow's processes, by name, in the order in which they start."""

_HEALTH = "/api/v2/monitor/health"


class Stack:
    """Owns the processes; a context manager.

    Args:
        home: Folder for everything that is written.
        repo: Checkout with ``dags/`` and ``release_specs/``.
        say: Told what is being started.
        port: Port of the API server, if it is free; 0 for any.
        reparse_s: Seconds after which an edited spec is seen.
        fresh: Begin with an empty folder; what was there is kept beside it, in ``before``.
        ready_timeout_s: How long the start may take.
        extra: Environment variables of the Airflow processes beside the stack's own, such as a connection.
        users: Who can log in, and in which role; everybody's password is the user name.
        grace_s: How long processes have to end by themselves before they are killed.
        slack_patience_s: How long the Slack server waits for an answer to a press.
    """

    def __init__(
        self,
        home: Path,
        repo: Path,
        *,
        say: Callable[[str], None] = lambda _text: None,
        port: int = 0,
        reparse_s: int = 30,
        fresh: bool = False,
        ready_timeout_s: float = 120.0,
        extra: Mapping[str, str] | None = None,
        users: Mapping[str, str] = USERS,
        grace_s: float = 5.0,
        slack_patience_s: float = PATIENCE_S,
    ) -> None:
        self.folders = Folders(home.resolve())
        self.repo = repo.resolve()
        self.processes = Processes(self.folders.logs)
        # Replicas get an environment of their own, without the stack's mark; they outlive a killed daemon.
        self.processes.marks[SANDBOX_HOME] = str(self.folders.sandbox)
        self._say = say
        self._port = port
        self._reparse_s = reparse_s
        self._fresh = fresh
        self._timeout_s = ready_timeout_s
        self._extra = dict(extra or {})
        self._users = users
        self._grace_s = grace_s
        self._slack_patience_s = slack_patience_s
        self._addresses: Addresses | None = None
        self._env: dict[str, str] = {}
        self._lock = HomeLock(self.folders.home)

    @property
    def addresses(self) -> Addresses:
        """Where the parts answer; StackError before the stack has started."""
        if self._addresses is None:
            raise StackError("the stack has not started")
        return self._addresses

    @property
    def env(self) -> dict[str, str]:
        """The environment that the Airflow processes run with."""
        return dict(self._env)

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            if self._fresh:
                self._put_aside()
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = self.stop()
        if left and error is None:
            raise StackError("these processes could not be stopped:\n" + "\n".join(left))

    def start(self) -> None:
        """Start everything and return when all of it is healthy.

        Raises:
            StackError: something ended or took too long; the message ends with the log that matters.
        """
        write_passwords(self.folders, self._users)
        self._say("sandbox daemon, Slack server")
        airflow = f"http://127.0.0.1:{free_port(self._port)}"
        sandbox, slack = self._start_helpers(airflow)
        self._addresses = Addresses(
            airflow=airflow,
            sandbox=sandbox["control_url"],
            front=sandbox["front_url"],
            metrics=sandbox["metrics_url"],
            slack=slack["url"],
        )
        self._env = environment(
            self.folders, self._addresses, self.repo, reparse_s=self._reparse_s, users=self._users
        )
        self._env |= self._extra
        self._say("Airflow: database")
        self.processes.wait(self.airflow("db-migrate", "db", "migrate"), self._timeout_s)
        self._say("Airflow: " + ", ".join(AIRFLOW))
        for name in AIRFLOW:
            self.start_airflow(name)
        self._until(self._airflow_healthy, "Airflow did not become healthy")

    def start_airflow(self, name: str) -> Managed:
        """Start one of Airflow's processes, also again after it was killed."""
        host, _, port = self.addresses.airflow.removeprefix("http://").partition(":")
        arguments = {
            "api-server": ("--host", host, "--port", port),
            # Logs are read from the disk that all of them share: no further ports.
            "scheduler": ("--skip-serve-logs",),
            "triggerer": ("--skip-serve-logs",),
        }
        return self.airflow(name, name, *arguments.get(name, ()))

    def revive(self) -> list[str]:
        """Start again, at their old addresses, those parts that ended; return their names.

        As a service manager would. What a part had started may live on beside its successor, and each of them
        is made for that.
        """
        revived = [m for m in self.processes.ended() if m.name in (*AIRFLOW, "sandbox", "slack")]
        for managed in revived:
            self.processes.running.remove(managed)
            if managed.name == "sandbox":
                self._start_sandbox()
            elif managed.name == "slack":
                self._start_slack(urlsplit(self.addresses.slack).port or 0, self.addresses.airflow)
            else:
                self.start_airflow(managed.name)
        return [m.name for m in revived]

    def airflow(self, name: str, *arguments: str) -> Managed:
        """Start an ``airflow`` command under a name for its log."""
        return self.processes.start(name, (sys.executable, "-m", "airflow", *arguments), self._env, self.repo)

    def relman(self, name: str, module: str, *arguments: str) -> Managed:
        """Start one of relman's own modules as a process of the stack."""
        return self.processes.start(
            name, (sys.executable, "-m", module, *arguments), self._env or dict(os.environ), self.repo
        )

    def stop(self) -> list[str]:
        """Stop everything; idempotent. Returns what could not be stopped."""
        try:
            # Traffic and Airflow first: what they watch should not vanish under them.
            with unstoppable():
                traffic = [m.name for m in self.processes.running if m.name.startswith("traffic")]
                return self.processes.stop(first=(*traffic, *AIRFLOW), grace_s=self._grace_s)
        finally:
            self._lock.release()

    def _put_aside(self) -> None:
        """Keep what the last stack in this folder wrote, once: its ledger is a record."""
        before = self.folders.home.with_name("before")
        if self.folders.home.exists():
            shutil.rmtree(before, ignore_errors=True)
            self.folders.home.rename(before)

    def _start_helpers(self, airflow: str) -> tuple[dict[str, Any], dict[str, Any]]:
        self.folders.sandbox.mkdir(parents=True, exist_ok=True)
        ready = {name: self._ready(name) for name in ("sandbox", "slack")}
        for path in ready.values():
            path.unlink(missing_ok=True)
        self._start_sandbox()
        self._start_slack(0, airflow)
        self._until(
            lambda: all(p.exists() for p in ready.values()), "the sandbox or the Slack server did not start"
        )
        return json.loads(ready["sandbox"].read_text()), json.loads(ready["slack"].read_text())

    def _ready(self, name: str) -> Path:
        return self.folders.home / f"{name}.ready.json"

    def _start_sandbox(self) -> Managed:
        # Port 0 is the one it had before, if it had one: the daemon remembers its addresses.
        return self.relman(
            "sandbox",
            "relman_plugins.platforms.sandbox",
            *("--home", str(self.folders.sandbox), "--port", "0"),
            *("--ready-file", str(self._ready("sandbox"))),
        )

    def _start_slack(self, port: int, airflow: str) -> Managed:
        return self.relman(
            "slack",
            "relman_plugins.testing.slack",
            *("--port", str(port), "--ready-file", str(self._ready("slack"))),
            *("--store", str(self.folders.home / "slack.jsonl"), "--token", SLACK_TOKEN),
            *("--signing-secret", SLACK_SECRET, "--interactivity-url", f"{airflow}{SLACK_PATH}"),
            *("--patience", str(self._slack_patience_s), "--founds"),
        )

    def _airflow_healthy(self) -> bool:
        try:
            with client(self.addresses.airflow, timeout=5) as http:
                health = request(http, "GET", _HEALTH).json()
        except (ClientError, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def _until(self, ready: Callable[[], bool], failure: str) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not ready():
            self.processes.check()
            if time.monotonic() > deadline:
                raise StackError(f"{failure} within {self._timeout_s:.0f} s; see {self.folders.logs}")
            time.sleep(0.1)
