"""Notifiers that never return, or much later: they hold nobody else and tell nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.ledger.api import Ledger, Line
from relman_plugins.notifications.calls import MOST_LEFT
from relman_plugins.notifications.carrier import carry
from relman_plugins.notifications.letter import Letter
from relman_plugins.plan.model import ReleasePlan
from relman_plugins.plan.routing import Route

NOW = datetime(2100, 1, 1, tzinfo=UTC)
PAGER = Line("pager", "")
Tell = Callable[..., None]


@pytest.fixture
def tell(ledger: Ledger, plan: Callable[..., ReleasePlan], happens: Callable[..., None]) -> Tell:
    """Have something to tell to addresses of one notifier."""

    def record(*addresses: str) -> None:
        whole = plan("1.1.0", channel=None)
        routes = (Route(channel="pager", addresses=addresses, when=("tested",)),)
        release = ledger.open_release(
            plan=whole.model_copy(update={"shape": whole.shape.model_copy(update={"routes": routes})}),
            dag_id="release__checkout",
            run_id="run 1",
            started_by=Actor(kind="person", id="alice", via="airflow"),
            conf={},
        )
        counts = {"tests": 3, "failures": 1, "seconds": 2, "passed": False}
        happens(release.release_id, Kind.SUITE_FINISHED, "qa.unit", suite="unit", **counts)

    return record


def test_a_letter_that_never_arrives_holds_no_other_and_is_not_sent_twice(ledger: Ledger, tell: Tell) -> None:
    tell("slow", "quick")
    told: list[str] = []
    released, returned = threading.Event(), threading.Event()

    def send(letter: Letter) -> str:
        told.append(letter.address)
        if letter.address == "slow":
            released.wait(60)
            returned.set()
        return letter.key

    def carried(minutes: int) -> Any:
        return carry(ledger, PAGER, send, NOW + timedelta(minutes=minutes), limit_s=0.2)

    first = carried(0)
    assert (first.sent, first.failed, first.pending) == (1, 1, 1)
    assert "pager has not returned within 0.2 s" in first.errors[0]
    assert carried(10).failed == 1
    assert told == ["slow", "quick"], "the first one may still arrive"
    released.set()
    assert returned.wait(60)
    for minutes in range(20, 10_000, 10):
        # Its thread ends in its own time.
        if not carried(minutes).pending:
            break
    assert ledger.outbox.pending() == 0
    assert told == ["slow", "quick"]


def test_more_letters_than_may_hang_wait(ledger: Ledger, tell: Tell) -> None:
    addresses = [f"a{n}" for n in range(MOST_LEFT + 3)]
    tell(*addresses)
    released, told = threading.Event(), []

    def send(letter: Letter) -> str:
        told.append(letter.address)
        released.wait(60)
        return letter.key

    try:
        for minutes in range(0, 200, 10):
            result = carry(ledger, PAGER, send, NOW + timedelta(minutes=minutes), limit_s=0.01)
        assert len(told) == MOST_LEFT
        assert result.pending == len(addresses)
    finally:
        released.set()
