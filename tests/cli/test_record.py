"""Reading the record, and locks, against a real Airflow API server."""

from __future__ import annotations

import json

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from tests.cli.command import as_user, relman
from tests.plugin.airflow_server import GATE, Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
API = "/relman/api/v1"


def test_the_record_of_a_release_is_shown_and_filtered(server: Server) -> None:
    release, vera = server.release("6.0.0").release_id, as_user(server, "vera")
    assert relman("hold", release, "--reason", "odd\nnumbers", **as_user(server, "alice")).returncode == 0
    shown = relman("ledger", "show", release, **vera)
    assert shown.returncode == 0, shown.stderr
    first, gate, held, more = shown.stdout.splitlines()
    assert "release.opened" in first
    assert "(by admin via airflow)" in first
    assert GATE in gate
    assert "release.held" in held
    assert more.startswith(" " * 20), "a second line passes for no entry"
    events = json.loads(relman("ledger", "show", release, "--format", "json", **vera).stdout)
    assert [e["kind"] for e in events] == ["release.opened", "gate.opened", "release.held"]
    some = relman("ledger", "show", release, "--kind", "gate", "--kind", "release.held", **vera)
    assert [line.split()[2] for line in some.stdout.splitlines()[:2]] == ["gate.opened", "release.held"]
    assert relman("ledger", "show", release, "--since", "2h", **vera).stdout == shown.stdout
    later = relman("ledger", "show", release, "--since", "2100-01-01", **vera)
    assert (later.returncode, later.stdout) == (0, "")
    assert relman("ledger", "show", "no-1-1", **vera).returncode == 1


def test_a_dry_run_is_never_taken_for_a_release(server: Server) -> None:
    record, vera = server.release("6.0.5", dry_run=True), as_user(server, "vera")
    ended = {"outcome": "succeeded", "reason": "all 15 steps ended well"}
    server.ledger.record(record.release_id, NewEvent(kind=Kind.RELEASE_CLOSED, key="closed", data=ended))
    rows = relman("status", **vera).stdout.splitlines()
    assert next(row for row in rows if record.release_id in row).split()[1:5] == [
        *("✔", "succeeded,", "dry", "run")
    ]
    assert "succeeded, dry run" in relman("status", record.release_id, **vera).stdout


@pytest.mark.parametrize("args", [["--kind", "gates"], ["--since", "yesterday"], ["--since", "0m"]])
def test_what_is_asked_for_is_checked_before_anybody_is_asked(args: list[str]) -> None:
    assert relman("ledger", "show", "x", *args, RELMAN_URL="http://127.0.0.1:9").returncode == 2


def test_locks_are_shown_and_broken_by_a_person_with_a_reason(server: Server) -> None:
    release, alice = server.release("6.1.0").release_id, as_user(server, "alice")
    lock = server.ledger.locks.acquire("production", "checkout", release, 600)
    assert release in relman("locks", **as_user(server, "vera")).stdout
    assert "checkout in production" in relman("status", release, **alice).stdout
    why = ["--reason", "its worker is gone"]
    refused = relman("unlock", "production", "checkout", *why, **as_user(server, "vera"))
    assert (refused.returncode, "may not change" in refused.stderr) == (1, True)
    body = {"reason": "too late", "token": lock.token + 1}
    late = server.ask("POST", f"{API}/locks/production/checkout/break", "alice", json=body)
    assert (late.status_code, "changed hands" in late.json()["detail"]) == (409, True)
    assert server.ask("POST", f"{API}/locks/production/checkout/break", json=body).status_code == 401
    blind = server.ask("POST", f"{API}/locks/production/checkout/break", "alice", json={"reason": "whoever"})
    assert (blind.status_code, blind.json()["detail"]) == (422, "token: Field required")
    assert server.ledger.locks.held(release) == [lock]
    done = relman("unlock", "production", "checkout", *why, **alice)
    assert (done.returncode, release in done.stdout) == (0, True), done.stderr
    broken = server.ledger.events(release, kinds=[Kind.LOCK_BROKEN])[0]
    assert (broken.actor.id, broken.actor.via, broken.data["reason"]) == ("alice", "cli", why[1])
    assert json.loads(relman("locks", "--format", "json", **alice).stdout) == []
    again = relman("unlock", "production", "checkout", *why, **alice)
    assert (again.returncode, "nobody holds the lock" in again.stderr) == (1, True)
    assert relman("unlock", "production", "checkout", "--reason", " ", **alice).returncode == 2
