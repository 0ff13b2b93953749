"""What the doctor finds at a server: a real Airflow, healthy, misconfigured, and without the plugin."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.cli.command import as_user, relman
from tests.plugin.airflow_server import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture
def lab(server: Server) -> Iterator[dict[str, Any]]:
    """The pool that a DAG of the server takes two slots of, as it should be."""
    pool = {"name": "lab", "slots": 2, "description": "", "include_deferred": False}
    assert server.ask("POST", "/api/v2/pools", "admin", json=pool).status_code == 201
    yield pool
    server.ask("DELETE", "/api/v2/pools/lab", "admin")


def test_the_doctor_names_a_pool_that_does_not_exist(server: Server) -> None:
    found = relman("doctor", **as_user(server, "admin"))
    assert found.returncode == 1
    assert "fail  pools" in found.stdout
    assert "airflow pools set lab 2" in found.stdout


@pytest.mark.parametrize(
    ("change", "said"), [({"slots": 1}, "which has 1"), ({"include_deferred": True}, "counts deferred tasks")]
)
def test_the_doctor_names_a_pool_that_would_hold_a_release_up(
    server: Server, lab: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    assert server.ask("PATCH", "/api/v2/pools/lab", "admin", json=lab | change).status_code == 200
    found = relman("doctor", **as_user(server, "admin"))
    assert (found.returncode, said in " ".join(found.stdout.split())) == (1, True)


def test_waits_are_counted_and_those_that_nobody_has(server: Server) -> None:
    with closing(sqlite3.connect(server.home / "airflow.db", timeout=60)) as db, db:
        (living,) = db.execute("SELECT id FROM job WHERE job_type = 'TriggererJob'").fetchone()
        gone = "INSERT INTO job (state, job_type, latest_heartbeat) VALUES ('running', 'TriggererJob', ?)"
        lost = db.execute(gone, ("2026-01-01 00:00:00",)).lastrowid
        wait = "INSERT INTO trigger (classpath, kwargs, created_date, triggerer_id) VALUES ('x', '', ?, ?)"
        db.executemany(wait, [("2026-01-01 00:00:00", owner) for owner in (living, lost, None)])
    try:
        found = server.ask("GET", "/relman/api/v1/health", "vera").json()["waits"]
        assert found == {"triggerers": 1, "capacity": 1000, "waits": 3, "nobody": 2}
    finally:
        with closing(sqlite3.connect(server.home / "airflow.db", timeout=60)) as db, db:
            db.execute("DELETE FROM trigger")
            db.execute("DELETE FROM job WHERE id = ?", (lost,))


@pytest.mark.usefixtures("lab")
def test_the_doctor_finds_a_healthy_server_healthy_and_names_a_spec_that_is_gone(server: Server) -> None:
    done = relman("doctor", **as_user(server, "admin"))
    assert (done.returncode, "in flight: release__gone" in " ".join(done.stdout.split())) == (0, True)
    checks = json.loads(relman("doctor", "--format", "json", **as_user(server, "admin")).stdout)
    assert {c["name"]: c["state"] for c in checks} == {
        "configuration": "ok",
        "server": "ok",
        "login": "ok",
        "plugin": "ok",
        "middleware": "ok",
        "ledger": "ok",
        "outbox": checks[6]["state"],
        "spec cache": "ok",
        "triggerer": "ok",
        "Slack votes": "warn",
        "all admins": "ok",
        "DAG imports": "ok",
        "specs": "warn",
        "pools": "ok",
    }
    assert checks[6]["state"] in {"ok", "warn"}


def test_the_doctor_names_a_wrong_password_and_a_missing_ledger(server: Server) -> None:
    wrong = relman("doctor", RELMAN_URL=server.url, RELMAN_USER="alice", RELMAN_PASSWORD="no")
    assert (wrong.returncode, "fail  login" in wrong.stdout) == (3, True)
    extra = {
        "AIRFLOW__RELMAN__LEDGER_CONN_ID": "no_such_connection",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__RELMAN__REHEARSAL_CLOCK": "/nowhere/clock",
    }
    broken = Server(server.home, extra)
    broken.start()
    try:
        found = relman("doctor", RELMAN_URL=broken.url)
        assert found.returncode == 1
        assert "fail  ledger" in found.stdout
        assert "fail  all admins" in found.stdout
        assert "whoever can write /nowhere/clock opens every window" in " ".join(found.stdout.split())
        assert relman("status", RELMAN_URL=broken.url).returncode == 3
    finally:
        broken.stop()


@pytest.fixture
def bare_airflow() -> Iterator[str]:
    """An address that behaves as Airflow without relman: unknown paths get the web page, with 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/api/v2/version": {"version": "3.3.2"}, "/api/v2/importErrors": {"import_errors": []}}
            body = known.get(self.path.partition("?")[0])
            text = json.dumps(body) if body else "<!doctype html>"
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if body else "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_a_server_without_the_plugin_is_recognised(bare_airflow: str) -> None:
    done = relman("status", RELMAN_URL=bare_airflow, RELMAN_TOKEN="t")
    assert (done.returncode, "plugin is not mounted" in done.stderr) == (3, True)
    found = relman("doctor", RELMAN_URL=bare_airflow, RELMAN_TOKEN="t")
    assert (found.returncode, "fail  plugin" in found.stdout) == (1, True)
