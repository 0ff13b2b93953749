from __future__ import annotations

import fcntl
import multiprocessing
import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.errors import LedgerError, LedgerUnavailable
from relman_plugins.ledger import spool
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.ledger.database import utc_now
from tests.ledger.make import Clock


def rollback(key: str, **data: object) -> NewEvent:
    return NewEvent(kind=Kind.ROLLBACK_FINISHED, key=key, step="production.rollback", data=data)


def keys(ledger: Ledger, release: ReleaseRecord) -> list[str]:
    return [e.key for e in ledger.events(release.release_id, kinds=[Kind.ROLLBACK_FINISHED])]


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.suffix == ".jsonl")


def test_what_was_spooled_is_recorded_once(ledger: Ledger, release: ReleaseRecord, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    assert spool.replay(folder, ledger) == 0
    before = utc_now()
    for key in ("a", "b", "a"):
        spool.write(folder, release.release_id, rollback(key, note="line\nbreak \ud800"))
    assert spool.replay(folder, ledger) == 2
    assert spool.replay(folder, ledger) == 0
    assert keys(ledger, release) == ["a", "b"]
    assert left(folder) == []
    (first, _) = ledger.events(release.release_id, kinds=[Kind.ROLLBACK_FINISHED])
    assert before <= first.at <= utc_now()
    assert first.data == {"note": "line\nbreak ?"}


def test_nothing_is_written_while_what_was_spooled_is_being_taken(
    release: ReleaseRecord, tmp_path: Path
) -> None:
    """It could land in a file that was read already."""
    fd = os.open(tmp_path / "spool.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    writing = threading.Thread(target=spool.write, args=(tmp_path, release.release_id, rollback("a")))
    writing.start()
    writing.join(0.5)
    assert left(tmp_path) == []
    os.close(fd)
    writing.join(30)
    assert left(tmp_path) == ["events.jsonl"]


def test_an_event_keeps_the_time_it_happened(
    ledger: Ledger, release: ReleaseRecord, tmp_path: Path, clock: Clock
) -> None:
    at = clock.now - timedelta(hours=3)
    spool.write(tmp_path, release.release_id, rollback("a").model_copy(update={"at": at}))
    spool.replay(tmp_path, ledger)
    assert ledger.events(release.release_id)[-1].at == at


def test_a_ledger_that_is_away_costs_nothing(ledger: Ledger, release: ReleaseRecord, tmp_path: Path) -> None:
    spool.write(tmp_path / "s", release.release_id, rollback("a"))
    with pytest.raises(LedgerUnavailable):
        spool.replay(tmp_path / "s", Ledger("postgresql+psycopg://127.0.0.1:1/none"))
    spool.write(tmp_path / "s", release.release_id, rollback("b"))
    assert spool.replay(tmp_path / "s", ledger) == 2
    assert sorted(keys(ledger, release)) == ["a", "b"]


class Dies(Ledger):
    """A ledger whose process is killed after some records."""

    lives = 2

    def record(self, release_id: str, event: NewEvent) -> object:  # type: ignore[override]
        if not self.lives:
            raise KeyboardInterrupt
        self.lives -= 1
        return super().record(release_id, event)


def test_a_crash_half_way_loses_and_doubles_nothing(
    ledger: Ledger, url: str, release: ReleaseRecord, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    for i in range(5):
        spool.write(folder, release.release_id, rollback(str(i)))
    dying = Dies(url)
    with pytest.raises(KeyboardInterrupt):
        spool.replay(folder, dying)
    dying.close()
    assert keys(ledger, release) == ["0", "1"]
    spool.write(folder, release.release_id, rollback("5"))
    assert spool.replay(folder, ledger) == 4
    assert sorted(keys(ledger, release)) == list("012345")
    assert left(folder) == []


def test_a_line_torn_by_a_crash_harms_only_itself(
    ledger: Ledger, release: ReleaseRecord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool.write(tmp_path, release.release_id, rollback("a"))
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"release_id": "checkout-1.1.0-1", "event": {"ki')
    spool.write(tmp_path, release.release_id, rollback("b"))
    assert spool.replay(tmp_path, ledger) == 2
    assert left(tmp_path) == ["unusable.jsonl"]
    assert '"event": {"ki' in (tmp_path / "unusable.jsonl").read_text()
    assert "set aside" in caplog.text


def test_an_event_of_no_release_is_set_aside(ledger: Ledger, release: ReleaseRecord, tmp_path: Path) -> None:
    spool.write(tmp_path, "ghost", rollback("a"))
    spool.write(tmp_path, release.release_id, rollback("b"))
    assert spool.replay(tmp_path, ledger) == 1
    assert "ghost" in (tmp_path / "unusable.jsonl").read_text()


def test_a_decision_cannot_be_spooled(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="only the ledger's own calls"):
        spool.write(tmp_path, "x", NewEvent(kind=Kind.GATE_DECIDED, key="k", data={"state": "approved"}))


def test_writers_and_replayers_lose_nothing(ledger: Ledger, release: ReleaseRecord, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(5)
    counts = context.SimpleQueue()

    def write(i: int) -> None:
        start.wait(30)
        for j in range(20):
            spool.write(tmp_path / "s", release.release_id, rollback(f"{i}:{j}"))

    def replay(_: int) -> None:
        start.wait(30)
        counts.put(sum(spool.replay(tmp_path / "s", ledger) for _ in range(10)))

    children = [context.Process(target=work, args=(i,)) for i, work in enumerate([write] * 3 + [replay] * 2)]
    for process in children:
        process.start()
    for process in children:
        process.join(60)
    assert [p.exitcode for p in children] == [0] * 5
    total = counts.get() + counts.get() + spool.replay(tmp_path / "s", ledger)
    assert total == 60
    assert set(keys(ledger, release)) == {f"{i}:{j}" for i in range(3) for j in range(20)}
