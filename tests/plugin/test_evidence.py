"""Evidence as the server gives and signs it, and as the command line writes and checks it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.evidence.verify import verify
from relman_plugins.ledger.keys import public_key
from relman_plugins.plan.model import Options, ReleasePlan
from tests.cli.command import as_user, relman
from tests.plugin.airflow_server import PUBLIC, SHAPE, Server
from tests.plugin.test_api import API
from tests.plugin.test_degraded import no_secret

__all__ = ["no_secret"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def rejected_in_time(server: Server) -> str:
    """Return a release that was opened, and closed before anything was asked."""
    record = server.ledger.open_release(
        plan=ReleasePlan(shape=SHAPE, options=Options(version="4.0.0", changes="<b>bold</b> [x](y)")),
        dag_id="release__checkout",
        run_id=server.trigger("release__checkout", version="4.0.0"),
        started_by=Actor(kind="person", id="admin", name="admin", via="airflow"),
        conf={"version": "4.0.0"},
    )
    closed = NewEvent(
        kind=Kind.RELEASE_CLOSED, key=f"{record.release_id}:closed", data={"outcome": "failed", "reason": ""}
    )
    assert server.ledger.record(record.release_id, closed)
    return str(record.release_id)


def test_whoever_may_read_a_release_gets_its_evidence_signed(server: Server) -> None:
    release_id = rejected_in_time(server)
    answer = server.ask("GET", f"{API}/releases/{release_id}/evidence", "vera")
    assert answer.status_code == 200
    found = verify(answer.content, [public_key(PUBLIC)])
    assert [f for f in found.findings if f.state == "fail"] == []
    assert found.is_ok("signature")
    assert found.evidence is not None
    assert found.evidence.statement["predicate"]["exported"]["for"] == {"id": "vera", "name": ""}
    assert "PRIVATE" not in answer.text


def test_what_was_let_through_without_an_approval_is_named(server: Server) -> None:
    record = server.shipped("4.1.0", "4.1.1")
    answer = server.ask("GET", f"{API}/releases/{record.release_id}/evidence", "vera")
    found = verify(answer.content, [public_key(PUBLIC)])
    said = " ".join(f.text for f in found.findings if f.state == "fail")
    assert found.is_ok("signature")
    assert "gate production.approval was never opened, so nobody has approved" in said


def test_a_key_that_can_not_be_used_gives_no_unsigned_file(server: Server, no_secret: Server) -> None:
    release_id = rejected_in_time(server)
    answer = no_secret.ask("GET", f"{API}/releases/{release_id}/evidence", "vera")
    assert (answer.status_code, "no_such_key" in answer.json()["detail"]) == (503, True)


def test_the_command_writes_the_file_and_reports_for_people(server: Server, tmp_path: Path) -> None:
    release_id = rejected_in_time(server)
    file, key = tmp_path / "e.json", tmp_path / "relman.pub"
    key.write_text(PUBLIC)
    reports = [tmp_path / "e.md", tmp_path / "e.html"]
    asked = ["--report", reports[0], "--report", reports[1]]
    done = relman("evidence", "export", release_id, "-o", file, *asked, **as_user(server, "vera"))
    assert (done.returncode, "signed with the key sha256:" in done.stdout) == (0, True), done.stderr
    for path in reports:
        assert "This does not prove" in path.read_text()
        assert "<b>bold" not in path.read_text()
    done = relman("evidence", "verify", file, "--key", key, "--format", "json")
    assert (done.returncode, json.loads(done.stdout)["good"]) == (0, True)
    gone = relman("evidence", "export", "none-1.0.0-1", "-o", tmp_path / "none", **as_user(server, "vera"))
    assert (gone.returncode, (tmp_path / "none").exists()) == (1, False)
    assert "no release 'none-1.0.0-1'" in gone.stderr
