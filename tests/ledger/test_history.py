"""What is read of many releases at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.ledger.api import Ledger
from tests.ledger.make import Clock, Open


def closed(ledger: Ledger, release: Any, outcome: str) -> None:
    data = {"outcome": outcome, "reason": ""}
    event = NewEvent(kind=Kind.RELEASE_CLOSED, key=f"{release.release_id}:closed", data=data)
    assert ledger.record(release.release_id, event)


def test_those_that_succeeded_before_are_found_the_latest_end_first(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    first = open_release("run-1", "1.0.0")
    second = open_release("run-2", "1.0.1")
    bad = open_release("run-3", "1.0.2")
    rehearsal = open_release("run-4", "1.0.3", dry_run=True)
    for release, outcome in (
        (second, "succeeded"),
        (first, "succeeded"),
        (bad, "failed"),
        (rehearsal, "succeeded"),
    ):
        clock.forward(60)
        closed(ledger, release, outcome)
    clock.forward(60)
    later = open_release("run-5", "1.0.4")
    closed(ledger, later, "succeeded")

    def found(before: Any, limit: int = 10, pipeline: str = later.pipeline) -> list[str]:
        return [r.release_id for r in ledger.succeeded_before(pipeline, before, limit)]

    assert found(later.opened_at) == [first.release_id, second.release_id]
    assert found(later.opened_at, 1) == [first.release_id]
    assert found(later.opened_at, pipeline="another") == []
    assert found(first.opened_at) == []
    assert found(later.opened_at + timedelta(days=1))[0] == later.release_id
