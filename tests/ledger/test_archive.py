"""Retention: old releases go to a file, and what is left can still be verified."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from relman_plugins.cli import record
from relman_plugins.cli.options import Format
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerError
from relman_plugins.ledger import archive as archiving
from relman_plugins.ledger.api import Ledger
from relman_plugins.ledger.archive_file import check
from tests.ledger import test_break_glass as break_glass
from tests.ledger.make import GATE, Clock, Open, build, make_shape, open_gate
from tests.ledger.test_append_only import refused
from tests.ledger.test_concurrency import in_threads

ME = Actor(kind="person", id="carol", via="cli")
OLD = [f"checkout-1.1.0-{n}" for n in range(1, 6)]


@pytest.fixture
def url(empty_url: str) -> str:
    """A database of its own."""
    Ledger(empty_url).migrate()
    return empty_url


@pytest.fixture
def old(ledger: Ledger, open_release: Open, clock: Clock) -> datetime:
    """Five releases that ended long ago, their events taking turns, and later ones; return the limit."""
    releases = [open_release(f"run-{n}") for n in range(5)]
    open_gate(ledger, releases[0])
    ledger.votes.cast(OLD[0], GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api")
    for kind in (Kind.STEP_STARTED, Kind.STEP_FINISHED, Kind.RELEASE_CLOSED):
        for release in releases:
            build(ledger, release)
            data = {"outcome": "failed"} if kind is Kind.RELEASE_CLOSED else {}
            new = NewEvent(kind=kind, key=f"{kind}:{release.release_id}", step="build", data=data)
            ledger.record(release.release_id, new)
    with ledger._db.write() as conn:
        conn.execute(text("UPDATE outbox SET state = 'sent'"))
    limit = clock.forward(3600)
    clock.forward(86_400 * 400)
    open_release("run-now")
    return limit


def problems(ledger: Ledger) -> list[str]:
    return [p for found in ledger.verify() for p in found.problems]


def test_old_releases_go_and_the_rest_still_holds(ledger: Ledger, old: datetime, tmp_path: Path) -> None:
    before = ledger.head()
    (done,) = ledger.archive(tmp_path / "out", old, ME)
    assert sorted(done.releases) == OLD
    assert [r.release_id for r in ledger.releases()] == ["checkout-1.1.0-6"]
    assert problems(ledger) == []
    assert ledger.head().length == before.length + 1
    assert list(ledger.archive(tmp_path / "out", old, ME)) == []
    found = check(tmp_path / "out" / done.file)
    assert (found.problems, found.digest, found.events) == ((), done.digest, done.events)
    ledger.record("checkout-1.1.0-6", NewEvent(kind=Kind.STEP_STARTED, key="goes on", step="build"))
    assert problems(ledger) == []


def test_programs_are_told_what_went_where_and_what_stays(
    ledger: Ledger, old: datetime, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    would, did = {}, {}
    for told, dry_run in ((would, True), (did, False)):
        record.archive(ledger, tmp_path / "out", old, Format.JSON, dry_run=dry_run)
        told |= json.loads(capsys.readouterr().out)
    assert (sorted(would["releases"]), would["files"], would["dry_run"]) == (OLD, [], True)
    assert (sorted(did["releases"]), did["stays"], did["before"]) == (OLD, {}, old.isoformat())
    (file,) = did["files"]
    found = check(Path(file["file"]))
    assert (found.digest, found.events) == (file["digest"], file["events"])
    assert sorted(file["releases"]) == OLD


def test_nobody_is_named_in_what_is_left(ledger: Ledger, old: datetime, tmp_path: Path, url: str) -> None:
    list(ledger.archive(tmp_path / "out", old, Actor()))
    with create_engine(url, poolclass=NullPool).connect() as conn:
        for table in ("archive", "archived_release", "archived_run", "vote", "outbox", "thread"):
            left = str(conn.execute(text(f'SELECT * FROM "{table}"')).all())
            assert not {"alice", "bob", "Alice"} & set(left.replace("'", " ").split())


def test_ids_and_runs_of_archived_releases_never_come_again(
    ledger: Ledger, old: datetime, tmp_path: Path, open_release: Open
) -> None:
    list(ledger.archive(tmp_path / "out", old, ME))
    assert open_release("run-later").release_id == "checkout-1.1.0-7"
    with pytest.raises(
        LedgerError, match=r"release checkout-1.1.0-3, which went to the archive relman-ledger"
    ):
        open_release("run-2")
    with pytest.raises(LedgerError, match=r"no release 'checkout-1.1.0-3' in the ledger, which went to"):
        ledger.status("checkout-1.1.0-3")


def test_what_was_released_is_known_after_it_went_and_what_was_only_rehearsed_is_not(
    ledger: Ledger, open_release: Open, clock: Clock, tmp_path: Path
) -> None:
    for run_id, version, dry_run in (("a", "1.2.0", False), ("b", "9.9.9", True)):
        release = open_release(run_id, version=version, dry_run=dry_run)
        closed = {"outcome": "failed"}
        end = NewEvent(kind=Kind.RELEASE_CLOSED, key=f"end:{release.release_id}", step="close", data=closed)
        ledger.record(release.release_id, end)
    with ledger._db.write() as conn:
        conn.execute(text("UPDATE outbox SET state = 'sent'"))
    limit = clock.forward(3600)
    clock.forward(86_400 * 400)
    open_release("c", version="1.3.0")
    (done,) = ledger.archive(tmp_path / "out", limit, ME)
    assert len(done.releases) == 2
    assert ledger.versions("checkout") == ["1.2.0", "1.3.0"]
    assert problems(ledger) == []


def test_the_record_is_protected_again_afterwards(
    ledger: Ledger, old: datetime, tmp_path: Path, url: str, open_release: Open
) -> None:
    list(ledger.archive(tmp_path / "out", old, ME))
    open_gate(ledger, open_release("run-x"))
    with create_engine(url, poolclass=NullPool).connect() as conn:
        refused(conn, "DELETE FROM event")


def test_what_others_need_stays(ledger: Ledger, old: datetime, open_release: Open, clock: Clock) -> None:
    # The newest of another pipeline, one under way, and one that was touched since.
    ledger.record(OLD[1], NewEvent(kind=Kind.STEP_STARTED, key="late", step="follow_up"))
    choice = ledger.archivable(clock.now + timedelta(seconds=1))
    assert set(choice.go) == set(OLD)
    choice = ledger.archivable(old)
    assert set(choice.go) == set(OLD) - {OLD[1]}
    assert choice.stay == {OLD[1]: "had something recorded since"}


@pytest.mark.parametrize("decision", list(Decision))
def test_what_an_emergency_owes_stays_until_it_is_approved_or_settled(
    ledger: Ledger, open_release: Open, clock: Clock, decision: Decision
) -> None:
    release = break_glass.start(ledger, [break_glass.MANAGERS])
    ledger.votes.waive(release.release_id, GATE)
    closed = NewEvent(kind=Kind.RELEASE_CLOSED, key="c", data={"outcome": "failed", "reason": ""})
    ledger.record(release.release_id, closed)
    with ledger._db.write() as conn:
        conn.execute(text("UPDATE outbox SET state = 'sent'"))
    limit = clock.forward(86_400 * 400)
    open_release("run-now")
    owes = {release.release_id: "skipped in an emergency what is neither approved nor settled since"}
    assert ledger.archivable(limit).stay == owes
    assert break_glass.cast(ledger, release, "a.erin", decision=decision).accepted
    if decision is Decision.REJECT:
        with ledger._db.write() as conn:
            conn.execute(text("UPDATE outbox SET state = 'sent'"))
        assert ledger.archivable(clock.forward(86_400)).stay == owes
        done = {"reason": "an alert", "via": "cli", "airflow_user": "a.erin"}
        assert ledger.votes.settle(release.release_id, break_glass.DEBT, **done).accepted
    with ledger._db.write() as conn:
        conn.execute(text("UPDATE outbox SET state = 'sent'"))
    assert ledger.archivable(clock.forward(86_400)).go == (release.release_id,)


def test_people_vote_and_releases_open_while_others_are_archived(
    ledger: Ledger, old: datetime, open_release: Open, tmp_path: Path
) -> None:
    """What is written before its event (a vote, a release) and the archive must not wait for each other."""
    waiting = [open_release(f"run-w{n}", shape=make_shape(f"shop-{n}")) for n in range(40)]
    for release in waiting:
        open_gate(ledger, release)

    def vote(n: int) -> bool:
        user = {"airflow_user": "a.alice", "decision": Decision.APPROVE}
        voted = ledger.votes.cast(waiting[n].release_id, GATE, via="api", **user)
        return voted.accepted and bool(open_release(f"run-v{n}", version="3.0.0"))

    def work(n: int) -> bool:
        return all(vote(i) for i in range(n - 1, 40, 4)) if n else bool(list(archive()))

    def archive() -> Iterator[archiving.Archived]:
        return ledger.archive(tmp_path / "out", old, ME)

    assert in_threads(5, work) == [True] * 5
    assert problems(ledger) == []


CHANGE = {"desired": {"candidate": None}, "previous": None}


def test_what_runs_and_what_it_would_go_back_to_stay(ledger: Ledger, old: datetime, clock: Clock) -> None:
    # Written late by hand, as if it had been then: only the ids and kinds matter here.
    clock.now = old - timedelta(seconds=10)
    for n in (0, 2, 4):
        for kind in (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED):
            new = NewEvent(kind=kind, key=f"{kind}:{n}", environment="production", data=CHANGE)
            ledger.record(OLD[n], new)
    clock.forward(86_400 * 400)
    choice = ledger.archivable(old)
    # All of them built the version that runs: whichever it was, a rollback asks for its artifact.
    assert set(choice.stay) == set(OLD)
    assert set(choice.stay.values()) <= {
        "is what an environment runs or would go back to", "has messages that wait"
    }  # fmt: skip


MEDDLE: list[tuple[str, str]] = [
    ("DELETE FROM archived_run", "something was removed"),
    ("UPDATE archived_release SET outcome = 'succeeded'", "is not what was left there"),
    ("UPDATE archive SET digest = 'sha256:0'", "the note"),
    ("UPDATE archived_run SET hash = 'sha256:0'", "event"),
]


@pytest.mark.parametrize(("statement", "said"), MEDDLE)
def test_what_an_archive_left_is_covered_by_the_chain(
    ledger: Ledger, old: datetime, tmp_path: Path, url: str, statement: str, said: str
) -> None:
    list(ledger.archive(tmp_path / "out", old, ME))
    with create_engine(url, poolclass=NullPool).begin() as conn:
        conn.execute(text(statement))
    assert said in problems(ledger)[0]


def _with_another_vote(lines: bytes) -> bytes:
    vote = next(line for line in lines.splitlines(True) if line.startswith(b'{"vote"'))
    return lines.replace(vote, vote + vote.replace(b"alice", b"mallory"))


FILES: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda b: b.replace(b'"kind":"step.started"', b'"kind":"step.refused"', 1), "was changed"),
    (
        lambda b: b.replace(b'"decision":"approve"', b'"decision":"reject"', 1),
        "the vote is not as it was cast",
    ),
    (
        lambda b: b.replace(b'"run_id":"run-0"', b'"run_id":"run-9"', 1),
        "release checkout-1.1.0-1 is not as it",
    ),
    (lambda b: b"".join(x for x in b.splitlines(True) if b"step.finished" not in x), "follows an event"),
    (lambda b: b"".join(b.splitlines(True)[:-1]), "the end is missing"),
    (lambda b: b[:500], "can't be read"),
    (lambda b: b[:9] + b"[" * 100_000, "can't be read"),
    (_with_another_vote, "nobody cast the vote of mallory at gate"),
]


@pytest.mark.parametrize(("change", "said"), FILES, ids=[said for _, said in FILES])
def test_a_file_that_was_changed_says_so_without_its_ledger(
    ledger: Ledger, old: datetime, tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    (done,) = ledger.archive(tmp_path / "out", old, ME)
    path = tmp_path / "out" / done.file
    changed = change(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(changed))
    assert any(said in p for p in check(path).problems), check(path).problems


def test_a_file_cut_in_the_middle_is_not_whole(ledger: Ledger, old: datetime, tmp_path: Path) -> None:
    (done,) = ledger.archive(tmp_path / "out", old, ME)
    path = tmp_path / "out" / done.file
    path.write_bytes(path.read_bytes()[:-40])
    assert "can't be read" in check(path).problems[0]


def test_a_damaged_file_is_told_from_a_whole_one_wherever_it_is_damaged(
    ledger: Ledger, old: datetime, tmp_path: Path
) -> None:
    (done,) = ledger.archive(tmp_path / "out", old, ME)
    path = tmp_path / "out" / done.file
    whole = path.read_bytes()
    said = set()
    for place in range(10, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        (first, *_) = check(path).problems
        said.add(first.partition(": ")[2][:30])
    assert any("decompressing" in s for s in said)


@pytest.mark.parametrize("where", ["_note", "_remove", "_check_unchanged"])
def test_killed_in_the_middle_nothing_is_lost_and_it_can_be_run_again(
    ledger: Ledger, old: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, clock: Clock
) -> None:
    real = getattr(archiving, where)

    def die(*args: object) -> None:
        real(*args)
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(archiving, where, die)
        list(ledger.archive(tmp_path / "out", old, ME))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert problems(ledger) == []
    assert len(ledger.releases()) == 6
    clock.forward(1)
    (done,) = ledger.archive(tmp_path / "out", old, ME)
    assert sorted(done.releases) == OLD
    assert problems(ledger) == []


def test_a_full_disk_removes_nothing(ledger: Ledger, old: datetime, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, where a folder should be")
    with pytest.raises(OSError, match="exists"):
        list(ledger.archive(tmp_path / "out", old, ME))
    assert len(ledger.releases()) == 6


def test_a_record_that_does_not_hold_is_not_archived(
    ledger: Ledger, old: datetime, tmp_path: Path, url: str
) -> None:
    with create_engine(url, poolclass=NullPool).begin() as conn:
        off = "DROP TRIGGER relman_event_update" if url.startswith("sqlite") else (
            "ALTER TABLE event DISABLE TRIGGER relman_append_only"
        )  # fmt: skip
        conn.execute(text(off))
        conn.execute(text("UPDATE event SET kind = 'step.failed' WHERE kind = 'step.finished'"))
    with pytest.raises(LedgerError, match=r"does not hold: event .* was changed"):
        list(ledger.archive(tmp_path / "out", old, ME))
    assert len(ledger.releases()) == 6
