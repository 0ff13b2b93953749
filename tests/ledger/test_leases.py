"""Remembering what was seen: once, for a while, and then forgotten."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relman_plugins.ledger.api import Ledger


def at(path: Path, clock: Callable[[], datetime] | None = None) -> Ledger:
    ledger = Ledger(f"sqlite:///{path}/ledger.db", clock=clock)
    ledger.migrate()
    return ledger


def test_a_name_is_first_once_until_it_is_forgotten(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    ledger = at(tmp_path, lambda: now[0])
    assert ledger.is_first("slack:a", 600)
    assert not ledger.is_first("slack:a", 600)
    assert ledger.is_first("slack:b", 600)
    assert ledger.is_first("other:a", 600)
    now[0] += timedelta(seconds=599)
    assert not ledger.is_first("slack:a", 600)
    now[0] += timedelta(seconds=2)
    assert ledger.is_first("slack:a", 600)


def test_a_lease_is_one_holders_until_its_end_and_anybodys_from_then_on(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    ledger = at(tmp_path, lambda: now[0])
    assert ledger.lease("outbox", "a", 60)
    assert not ledger.lease("outbox", "b", 60)
    now[0] += timedelta(seconds=60)
    assert ledger.lease("outbox", "b", 60)
    assert not ledger.lease("outbox", "a", 60)


def test_of_many_at_once_one_is_first(tmp_path: Path) -> None:
    ledger = at(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: ledger.is_first("slack:same", 600), range(64))) == 1
