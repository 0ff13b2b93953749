"""What the doctor makes of a server's health."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.cli.command import relman

HEALTH: dict[str, Any] = {
    "version": "1",
    "user": {"id": "vera", "name": "vera"},
    "all_admins": False,
    "middleware": {"active": True},
    "ledger": {"ok": True, "message": "reachable"},
}
QUIET = {"oldest": None, "error": None, "given_up": 0, "given_up_at": None, "given_up_error": None}


@pytest.fixture
def healthy() -> Iterator[Callable[[dict[str, Any]], str]]:
    """Serve this health; return the address."""
    servers: list[ThreadingHTTPServer] = []

    def start(health: dict[str, Any]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answers = {"/relman/api/v1/health": health, "/api/v2/version": {"version": "3"}}
                other = {"import_errors": [], "total_entries": 0, "dags": [], "pools": []}
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answers.get(self.path, other)).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_messages_that_were_given_up_are_said(healthy: Callable[[dict[str, Any]], str]) -> None:
    gone = {"given_up": 3, "given_up_at": "2026-11-20T03:00:00Z", "given_up_error": 'no notifier "pager"'}
    channels = [
        {"channel": "pager", "pending": 0, **QUIET, **gone},
        {"channel": "slack", "pending": 1, **QUIET},
    ]
    outbox = {"pending": 1, "given_up": 3, "channels": channels}
    done = relman("doctor", "--url", healthy({**HEALTH, "outbox": outbox}), "--token", "t")
    (line,) = [line for line in done.stdout.splitlines() if "pager" in line]
    assert line.startswith("warn  to pager")
    assert '3 given up, the latest at 2026-11-20T03:00:00Z: no notifier "pager"' in line
    assert "to slack" not in done.stdout


QUIET_OUTBOX = {"pending": 0, "given_up": 0, "channels": []}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"extras": [{"extra": "git", "missing": ["dulwich"], "needed": True}]},
            "warn extra git dulwich is not installed beside the API server, and assessing what changed needs "
            "it; recent releases do that; python -m pip install 'relman[git]' on the workers adds it",
        ),
        (
            {"extras": [{"extra": "reports", "missing": ["a", "b"], "needed": False}]},
            "ok extra reports a, b is not installed",
        ),
        (
            {"waits": {"triggerers": 2, "capacity": 10, "waits": 15, "nobody": 15}},
            "ok triggerer 15 waits, of any DAG, and room for 20",
        ),
        (
            {"waits": {"triggerers": 1, "capacity": 10, "waits": 8, "nobody": 0}},
            "warn triggerer 8 waits, of any DAG, and room for 10; those beyond it will never be begun",
        ),
        (
            {"waits": {"triggerers": 1, "capacity": 10, "waits": 13, "nobody": 3}},
            "fail triggerer 13 waits, of any DAG, and room for 10: 3 are not begun and notice nothing; "
            "raise [triggerer] capacity or add a triggerer",
        ),
        (
            {"waits": {"triggerers": 0, "capacity": 10, "waits": 0, "nobody": 0}},
            "fail triggerer none is running",
        ),
        (
            {"bundle": {"name": "releases", "version": "0123456789abcdef", "specs_elsewhere": False}},
            "ok versions the DAG bundle releases is at 0123456789ab: a release in flight keeps its spec",
        ),
        (
            {"bundle": {"name": "releases", "version": "0123456789abcdef", "specs_elsewhere": True}},
            "warn versions the DAG bundle releases has them, and [relman] specs_folder names specs outside "
            "of it: whoever edits a spec stops its releases in flight; empty that setting",
        ),
        (
            {"bundle": {"name": "dags-folder", "version": None, "specs_elsewhere": False}},
            "warn versions the DAG bundle dags-folder has none: whoever edits a spec stops its releases in "
            "flight; relman_plugins.bundles.snapshot.SnapshotDagBundle gives a folder versions",
        ),
        ({"spec_cache": {"on": False, "trouble": ""}}, "ok spec cache off"),
        ({"spec_cache": {"on": True, "trouble": ""}}, "ok spec cache on"),
        ({"spec_cache": {"on": True, "trouble": "/x is not used"}}, "warn spec cache /x is not used"),
    ],
)
def test_what_is_not_installed_or_kept_is_said(
    healthy: Callable[[dict[str, Any]], str], more: dict[str, Any], said: str
) -> None:
    done = relman("doctor", "--url", healthy({**HEALTH, "outbox": QUIET_OUTBOX, **more}), "--token", "t")
    assert done.returncode == (1 if said.startswith("fail") else 0), done.stdout
    assert said in " ".join(done.stdout.split())


def test_a_ticket_system_that_does_not_answer_is_named(healthy: Callable[[dict[str, Any]], str]) -> None:
    down = {"system": "Jira", "connection": "relman_jira", "ok": False, "message": "Jira answered 401"}
    up = {"system": "ServiceNow", "connection": "relman_servicenow", "ok": True, "message": "answers"}
    url = healthy({**HEALTH, "outbox": QUIET_OUTBOX, "tickets": [down, up]})
    done = relman("doctor", "--url", url, "--token", "t")
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "fail change tickets Jira (relman_jira): Jira answered 401; releases that ask" in said
    assert "ok change tickets ServiceNow (relman_servicenow): answers" in said


def test_a_source_of_numbers_that_does_not_answer_is_named(healthy: Callable[[dict[str, Any]], str]) -> None:
    down = {"source": "Loki", "connection": "loki", "ok": False, "message": "answered 503"}
    up = {"source": "Prometheus", "connection": "relman_metrics", "ok": True, "message": "answers"}
    url = healthy({**HEALTH, "outbox": QUIET_OUTBOX, "sources": [down, up]})
    done = relman("doctor", "--url", url, "--token", "t")
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    assert "warn numbers Loki (loki): answered 503; that is what the API server got" in said
    assert "ok numbers Prometheus (relman_metrics): answers" in said
