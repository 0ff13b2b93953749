"""``relman rollback`` against a real Airflow API server."""

from __future__ import annotations

import json

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from tests.cli.command import as_user, relman
from tests.cli.test_server import line_with, started
from tests.plugin.airflow_server import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def test_rollback_shows_what_it_would_do_asks_once_and_follows_it(server: Server) -> None:
    record = server.shipped("5.2.0", "5.2.1")
    release, alice = record.release_id, as_user(server, "alice")
    assert relman("rollback", release, **alice).returncode == 2
    dry = relman("rollback", release, "--dry-run", **alice)
    assert (dry.returncode, "back to      5.2.0" in dry.stdout, "nothing was asked for" in dry.stdout) == (
        0,
        True,
        True,
    )
    assert server.ledger.rollbacks_asked(record.opened_at) == []
    args = ["rollback", release, "--reason", "slow", "--watch", "--interval", "0.2"]
    for kind, code, shown in (("refused", 1, "was not rolled back: no"), ("finished", 0, "back at 5.2.0")):
        with started(args, alice) as watch:
            assert watch.stdout is not None
            assert watch.stderr is not None
            assert "/dags/relman_rollback/runs/rollback__" in line_with(watch.stdout, "rollback asked for")
            again = relman("rollback", release, "--reason", "me too", **as_user(server, "bob"))
            assert (again.returncode, "alice had asked for it before" in again.stdout) == (0, True)
            (asked,) = server.ledger.rollbacks_asked(record.opened_at)
            data = {"request": asked.key, "message": "no", "to": {"version": "5.2.0"}}
            end = NewEvent(kind=Kind(f"rollback.{kind}"), key=f"{asked.key}:end", data=data)
            assert server.ledger.record(release, end)
            out, err = watch.communicate(timeout=60)
            assert (watch.returncode, shown in out + err) == (code, True)
    told = relman("status", release, **alice).stdout
    assert "production rolled back since" in told
    assert "production to 5.2.0" in told
    data = json.loads(relman("rollback", release, "--dry-run", "--format", "json", **alice).stdout)
    assert data["asked"]["state"] == "finished"
    under_way = relman("rollback", server.release("5.2.2").release_id, "--reason", "x", **alice)
    assert (under_way.returncode, "relman abort" in under_way.stderr) == (1, True)
    assert relman("rollback", "none-1", "--reason", "x", **alice).returncode == 1
