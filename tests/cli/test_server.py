"""The command against a real Airflow API server, as a person would use it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.plan.model import Options, ReleasePlan
from tests.cli.command import as_user, command, environment, relman
from tests.cli.test_shell import completed
from tests.plugin.airflow_server import GATE, SHAPE, Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def close(server: Server, release_id: str, outcome: str) -> None:
    event = NewEvent(
        kind=Kind.RELEASE_CLOSED, key=f"{release_id}:closed", data={"outcome": outcome, "reason": ""}
    )
    assert server.ledger.record(release_id, event) is not None


@contextmanager
def started(args: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the command in the background; it is gone at the end, whatever happened."""
    with subprocess.Popen(
        command(*args),
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background of a shell has Ctrl-C switched off, and would hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(stream: IO[str], text: str) -> str:
    """Read lines until one contains ``text``."""
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"the command ended without a line that contains {text!r}")


def test_approve_shows_what_is_approved_and_approves_that(server: Server) -> None:
    record = server.release("5.0.0", quorum=2)
    gate = server.ledger.votes.gate(record.release_id, GATE)
    first = relman("approve", record.release_id, "--yes", "--comment", "fine", **as_user(server, "alice"))
    assert first.returncode == 0, first.stderr
    for shown in (
        gate.subject["artifact_digest"],
        gate.subject["plan_hash"],
        gate.subject_digest,
        "faster checkout",
    ):
        assert shown in first.stdout
    assert "api: 7 tests, 0 failed, 1 skipped" in first.stdout
    assert f"{record.release_id} {GATE}: open, 1 more needed" in first.stdout
    second = relman("approve", record.release_id, "--yes", "--gate", GATE, **as_user(server, "bob"))
    assert "approved, nothing missing" in second.stdout
    votes = server.ledger.votes.gate(record.release_id, GATE).votes
    assert [(v.person, v.comment, v.via) for v in votes] == [("alice", "fine", "cli"), ("bob", "", "cli")]
    nothing = relman("approve", record.release_id, **as_user(server, "alice"))
    assert (nothing.returncode, "waits at no gate" in nothing.stderr) == (1, True)


def test_a_refused_vote_says_who_to_ask(server: Server) -> None:
    record = server.release("5.0.1")
    for user in ("uma", "vera"):
        refused = relman("approve", record.release_id, "--yes", **as_user(server, user))
        assert refused.returncode == 1
        assert user in refused.stderr
    unknown = relman("approve", record.release_id, "--gate", "qa.approval", **as_user(server, "alice"))
    assert (unknown.returncode, f"opened: {GATE}" in unknown.stderr) == (1, True)
    rejected = relman("reject", record.release_id, "--comment", "no", **as_user(server, "bob"))
    assert (rejected.returncode, "rejected" in rejected.stdout) == (0, True)


def test_at_a_terminal_a_vote_is_confirmed(server: Server) -> None:
    record = server.release("5.0.2")
    code, shown = at_terminal(["approve", record.release_id], "n\n", as_user(server, "alice"))
    assert (code, "approve this?" in shown) == (1, True)
    assert ("nothing was done" in shown, "Aborted" in shown) == (True, False)
    assert server.ledger.votes.gate(record.release_id, GATE).state == "open"
    code, shown = at_terminal(["approve", record.release_id], "\x04", as_user(server, "alice"))
    assert (code, "Aborted" in shown) == (130, False)
    assert at_terminal(["approve", record.release_id], "y\n", as_user(server, "alice"))[0] == 0
    assert server.ledger.votes.gate(record.release_id, GATE).state == "approved"


def test_a_script_says_what_it_approves(server: Server) -> None:
    record = server.release("5.0.6")
    release, alice = record.release_id, as_user(server, "alice")
    digest = gate_shown(server, release)
    silent = relman("approve", release, **alice)
    assert (silent.returncode, digest in silent.stdout) == (2, True)
    assert f"nothing was decided: there is no terminal to ask at; --digest {digest}" in silent.stderr
    other = relman("approve", release, "--yes", "--digest", "sha256:0", **alice)
    assert (other.returncode, f"is about {digest}, not about sha256:0" in other.stderr) == (1, True)
    assert server.ledger.votes.gate(release, GATE).state == "open"
    assert relman("approve", release, "--digest", digest, **alice).returncode == 0
    assert server.ledger.votes.gate(release, GATE).state == "approved"
    # A no is held up by nothing.
    again = server.release("5.0.7").release_id
    assert relman("reject", again, **alice).returncode == 0


def test_hold_resume_abort(server: Server) -> None:
    record = server.release("5.1.0")
    release, who = record.release_id, as_user(server, "alice")
    assert relman("resume", release, **who).returncode == 1
    assert relman("hold", release, "--reason", "odd", **who).returncode == 0
    assert "held" in relman("status", release, **who).stdout
    assert relman("resume", release, **who).returncode == 0
    assert relman("abort", release, "--reason", "wrong one", **who).returncode == 0
    assert server.ledger.status(release).abort.reason == "wrong one"
    close(server, release, "aborted")
    ended = relman("abort", release, "--reason", "again", **who)
    assert (ended.returncode, "has ended (aborted)" in ended.stderr) == (1, True)


def test_what_is_done_is_data_for_programs_too(server: Server) -> None:
    record = server.release("5.1.5", quorum=2)
    release, alice = record.release_id, as_user(server, "alice")
    vote = relman("approve", release, "--yes", "--format", "json", **alice)
    found = json.loads(vote.stdout)
    assert (found["release_id"], found["missing"], found["gate"]["state"]) == (release, 1, "open")
    assert gate_shown(server, release) in vote.stderr
    said = [
        json.loads(relman(verb, release, "--format", "json", **alice).stdout) for verb in ("hold", "hold")
    ]
    assert [(s["release_id"], s["recorded"]) for s in said] == [(release, True), (release, False)]
    again = relman("approve", release, "--yes", "--format", "json", **alice)
    assert (again.returncode, again.stdout, "already said approve" in again.stderr) == (1, "", True)


def gate_shown(server: Server, release: str) -> str:
    return str(server.ledger.votes.gate(release, GATE).subject_digest)


def test_a_watch_gives_one_object_a_line(server: Server) -> None:
    record = server.release("5.1.6")
    args = ["status", record.release_id, "--watch", "--format", "json", "--interval", "0.2"]
    with started(args, as_user(server, "vera")) as watch:
        assert watch.stdout
        assert json.loads(line_with(watch.stdout, "gate.opened"))["event"]["step"] == GATE
        close(server, record.release_id, "succeeded")
        last = [json.loads(line) for line in watch.stdout][-1]
        assert last["release"]["status"]["outcome"] == "succeeded"
        assert watch.wait(30) == 0


def test_release_ids_and_gates_are_completed(server: Server) -> None:
    record = server.release("5.1.7")
    line = f"relman approve {record.release_id[:-1]}"
    assert completed(line, **as_user(server, "vera")) == [record.release_id]
    line = f"relman approve {record.release_id} --gate "
    assert completed(line, **as_user(server, "vera")) == [GATE]


def test_status_shows_all_and_one(server: Server) -> None:
    record = server.release("5.2.0")
    who = as_user(server, "vera")
    table = relman("status", **who).stdout
    assert any(record.release_id in line and f"waits at {GATE}" in line for line in table.splitlines())
    one = relman("status", record.release_id, **who).stdout
    assert "faster checkout" in one
    assert (
        json.loads(relman("status", record.release_id, "--format", "json", **who).stdout)["version"]
        == "5.2.0"
    )
    listed = json.loads(relman("status", "--format", "json", "--limit", "1", **who).stdout)
    assert [r["release_id"] for r in listed] == [record.release_id]


def test_an_unknown_release_is_a_finding(server: Server) -> None:
    for args in (["status", "no-1-1"], ["status", "no-1-1", "--watch"], ["approve", "no-1-1"]):
        done = relman(*args, **as_user(server, "alice"))
        assert (done.returncode, "no release 'no-1-1'" in done.stderr) == (1, True)


def test_an_unknown_pipeline_is_a_finding(server: Server) -> None:
    done = relman("status", "--pipeline", "chekout", **as_user(server, "alice"))
    assert (done.returncode, "did you mean 'checkout'" in done.stderr) == (1, True)


def test_who_is_not_logged_in_is_told_how(server: Server) -> None:
    wrong = relman("status", RELMAN_URL=server.url, RELMAN_USER="alice", RELMAN_PASSWORD="hunter2")
    assert (wrong.returncode, "Invalid credentials" in wrong.stderr) == (3, True)
    assert "hunter2" not in wrong.stderr
    nobody = relman("status", RELMAN_URL=server.url)
    assert (nobody.returncode, "--token" in nobody.stderr) == (3, True)
    forged = relman("status", RELMAN_URL=server.url, RELMAN_TOKEN="forged")
    assert forged.returncode == 3
    assert relman("status", "--url", server.url, "--token", server.token("vera")).returncode == 0


@pytest.mark.parametrize(("outcome", "code"), [("succeeded", 0), ("rolled_back", 1)])
def test_watching_prints_what_happens_until_the_end(server: Server, outcome: str, code: int) -> None:
    record = server.release("5.3.0")
    args = ["status", record.release_id, "--watch", "--interval", "0.2"]
    with started(args, as_user(server, "vera")) as watch:
        assert watch.stdout
        line_with(watch.stdout, "gate.opened")
        server.ledger.votes.cast(
            record.release_id,
            GATE,
            airflow_user="bob",
            name="",
            decision=Decision.APPROVE,
            digest=None,
            comment="good",
            via="api",
        )
        assert "Bob Example" in line_with(watch.stdout, "gate.voted")
        close(server, record.release_id, outcome)
        assert outcome in line_with(watch.stdout, f"{record.release_id}: ")
        assert watch.wait(30) == code


def test_watching_at_a_terminal_is_a_live_panel(server: Server) -> None:
    record = server.release("5.3.1")
    close(server, record.release_id, "succeeded")
    code, shown = at_terminal(["status", record.release_id, "--watch"], "", as_user(server, "vera"))
    assert code == 0
    assert "succeeded" in shown
    assert "release.opened" in shown
    assert "\x1b[" in shown


def test_a_watch_ends_at_once_when_interrupted(server: Server) -> None:
    record = server.release("5.3.2")
    args = ["status", record.release_id, "--watch", "--interval", "0.2"]
    with started(args, as_user(server, "vera")) as watch:
        assert watch.stdout
        assert watch.stderr
        line_with(watch.stdout, "gate.opened")
        watch.send_signal(signal.SIGINT)
        assert watch.wait(30) == 130
        assert "Traceback" not in watch.stderr.read()


def test_a_release_is_started_and_followed(server: Server) -> None:
    args = ["release", "checkout", "5.4.0", "--changes", "new", "--watch", "--interval", "0.2"]
    with started(args, as_user(server, "alice")) as watch:
        assert watch.stdout
        first = line_with(watch.stdout, "started checkout 5.4.0: ")
        run_id = unquote(first.strip().rpartition("/")[2])
        run = server.ask("GET", f"/api/v2/dags/release__checkout/dagRuns/{run_id}", "vera").json()
        assert run["conf"] == {"version": "5.4.0", "changes": "new", "emergency": False, "dry_run": False}
        record = server.ledger.open_release(
            plan=ReleasePlan(shape=SHAPE, options=Options(version="5.4.0")),
            dag_id="release__checkout",
            run_id=run_id,
            started_by=Actor(kind="person", id="alice"),
            conf=run["conf"],
        )
        line_with(watch.stdout, "release.opened")
        close(server, record.release_id, "rejected")
        assert watch.wait(30) == 1


def test_without_watching_the_release_is_named_once_it_is_open(server: Server) -> None:
    args = ["release", "checkout", "5.5.0", "--dry-run", "--interval", "0.2"]
    dag = "/api/v2/dags/release__checkout"
    before = server.ask("GET", dag, "alice").json()["is_paused"]
    assert server.ask("PATCH", dag, "alice", json={"is_paused": False}).status_code == 200
    with started(args, as_user(server, "alice")) as command:
        assert command.stdout
        first = line_with(command.stdout, "started checkout 5.5.0: ")
        record = server.ledger.open_release(
            plan=ReleasePlan(shape=SHAPE, options=Options(version="5.5.0", dry_run=True)),
            dag_id="release__checkout",
            run_id=unquote(first.strip().rpartition("/")[2]),
            started_by=Actor(kind="person", id="alice"),
            conf={},
        )
        line_with(command.stdout, f"opened {record.release_id}; follow it with `relman status")
        assert command.wait(30) == 0
    server.ask("PATCH", dag, "alice", json={"is_paused": before})
    close(server, record.release_id, "succeeded")
    watch = relman("status", record.release_id, "--watch", **as_user(server, "alice"))
    assert watch.stdout.splitlines()[-1].endswith("(dry run: nothing was changed)")


def test_what_cannot_be_started_says_why(server: Server) -> None:
    alice = as_user(server, "alice")
    unknown = relman("release", "chekout", "1.0.0", **alice)
    assert (unknown.returncode, "did you mean 'checkout'" in unknown.stderr) == (1, True)
    unfit = relman("release", "checkout", "v1", **alice)
    assert (unfit.returncode, "version" in unfit.stderr) == (1, True)
    assert relman("release", "checkout", "1.0.0", **as_user(server, "vera")).returncode == 1
    unsaid = relman("release", "checkout", "1.0.0", "--emergency", " ", **alice)
    assert (unsaid.returncode, "say why it is one; nothing was started" in unsaid.stderr) == (2, True)
    wordy = relman("release", "checkout", "1.0.0", "--changes", "word " * 1000, **alice)
    assert (wordy.returncode, wordy.stderr.count("word")) == (2, 0)
    assert "--changes has 5000 characters; expected at most 4000" in wordy.stderr
    gone = relman("release", "gone", "1.0.0", **alice)
    assert (gone.returncode, "the spec of gone is broken or gone" in gone.stderr) == (1, True)
    paused = relman("release", "checkout", "5.4.1", **alice)
    assert (paused.returncode, "is paused" in paused.stderr) == (0, True)


def at_terminal(args: list[str], typed: str, variables: dict[str, str]) -> tuple[int, str]:
    """Run the command at a pseudo-terminal; return its exit code and what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*args), env=environment(TERM="xterm", **variables), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        # Linux reports the end of a terminal as an error.
        pass
    finally:
        os.close(ours)
    return process.wait(60), shown.decode(errors="replace")


def test_report_writes_up_a_release(server: Server, tmp_path: Path) -> None:
    record = server.release("5.9.0")
    shown = relman("report", record.release_id, **as_user(server, "vera"))
    assert shown.stdout.startswith("# checkout 5.9.0: under way"), shown.stderr
    page = tmp_path / "report.html"
    done = relman("report", record.release_id, "--format", "html", "-o", page, **as_user(server, "vera"))
    assert (done.returncode, page.read_text().startswith("<!doctype html>")) == (0, True), done.stderr
    data = relman("report", record.release_id, "--format", "json", **as_user(server, "vera"))
    assert json.loads(data.stdout)["version"] == "5.9.0"
    nowhere = relman("report", record.release_id, "-o", tmp_path / "no" / "x.md", **as_user(server, "vera"))
    assert (nowhere.returncode, "can't be written" in nowhere.stderr) == (3, True)
