"""A ledger whose clock stands at noon until a test moves it, and pipelines with a window by day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relman_plugins.ledger.api import Ledger
from tests.ledger.make import Clock
from tests.steps import world as worlds

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.now = NOON
    return made


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(tmp_path))
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock=clock)
    made.migrate()
    yield made
    made.close()


def window_by_day(monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    """Let production be open from eight to six each day, with ``more`` keys."""
    name, days = "environments/production.yaml", "[mon, tue, wed, thu, fri, sat, sun]"
    window = f'windows: [{{days: {days}, from: "08:00", to: "18:00", zone: UTC}}]\n'
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + window + more)
