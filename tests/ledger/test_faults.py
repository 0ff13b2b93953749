"""A ledger that is locked or full: nothing goes forward, the message says what to do, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, event

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerUnavailable
from relman_plugins.ledger import database, spool
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from tests.ledger.make import GATE, open_gate

NEXT = NewEvent(kind=Kind.STEP_STARTED, key="next", step="build", data={"said": "x" * 20_000})


def test_a_locked_ledger_takes_nothing_and_says_so(
    url: str, release: ReleaseRecord, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = open_gate(ledger, release)
    ledger.close()
    monkeypatch.setattr(database, "PATIENCE_S", 1.0)
    hold = (
        "BEGIN IMMEDIATE"
        if url.startswith("sqlite")
        else f"SELECT pg_advisory_xact_lock(hashtextextended('relman:release:{release.release_id}', 0))"
    )
    holder = create_engine(url, poolclass=NullPool).connect()
    if url.startswith("sqlite"):
        holder.connection.isolation_level = None  # type: ignore[attr-defined]
    holder.exec_driver_sql(hold)
    for call in (
        lambda: ledger.record(release.release_id, NEXT),
        lambda: ledger.votes.cast(
            release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api"
        ),
    ):
        with pytest.raises(LedgerUnavailable, match="held by another writer for more than"):
            call()
    # What must not wait goes to the spool; reading goes on.
    spool.write(tmp_path / "spool", release.release_id, NEXT)
    assert ledger.votes.gate(release.release_id, GATE) == gate
    holder.rollback()
    holder.close()
    assert spool.replay(tmp_path / "spool", ledger) == 1
    assert [p for check in ledger.verify() for p in check.problems] == []


def fill(ledger: Ledger, release: ReleaseRecord) -> None:
    for n in range(50):
        ledger.record(release.release_id, NEXT.model_copy(update={"key": f"{n}"}))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_full_disk_takes_nothing_and_says_so(
    tmp_path: Path, release: ReleaseRecord, ledger: Ledger
) -> None:
    """A database server's disk is not for a test to fill; its error leads to the same words."""
    before = ledger.head()
    ledger.close()

    def small(connection: Any, _: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(ledger._db.engine, "connect", small)
    # The file may have a free page or two: so long as there are, events fit.
    with pytest.raises(LedgerUnavailable, match=r"has no room left.*nothing was written"):
        fill(ledger, release)
    spool.write(tmp_path / "spool", release.release_id, NEXT)
    with pytest.raises(LedgerUnavailable, match="has no room left"):
        spool.replay(tmp_path / "spool", ledger)
    event.remove(ledger._db.engine, "connect", small)
    ledger.close()
    assert ledger.head().length >= before.length
    assert spool.replay(tmp_path / "spool", ledger) == 1
    assert [p for check in ledger.verify() for p in check.problems] == []
