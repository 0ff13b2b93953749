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


def test_what_releases_did_in_an_environment_is_told_whole_when_it_touched_the_time(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    def happens(release: Any, kind: Kind, environment: str | None, **data: Any) -> None:
        clock.forward(60)
        key = f"{release.release_id}:{clock.now.isoformat()}"
        event = NewEvent(kind=kind, key=key, environment=environment, data=data)
        assert ledger.record(release.release_id, event)

    version = {"version": "1", "digest": "sha256:" + "a" * 64, "uri": "file:///x"}
    shifted = {"desired": {"candidate": version, "candidate_weight": 10}}
    early = open_release("run-1", "1.0.0")
    happens(early, Kind.CHANGE_FINISHED, "production", desired={"stable": version}, promoted=True)
    since = clock.forward(60)
    late, rehearsal = open_release("run-2", "1.0.1"), open_release("run-3", "1.0.2", dry_run=True)
    happens(late, Kind.CHANGE_FINISHED, "staging", desired={"stable": version}, promoted=True)
    happens(late, Kind.CHANGE_FINISHED, "production", **shifted)
    happens(rehearsal, Kind.CHANGE_FINISHED, "production", **shifted)
    until = clock.forward(60)
    happens(late, Kind.TRAFFIC_WITHDRAWN, "production", reason="bad")
    closed(ledger, late, "rolled_back")

    pipeline = late.pipeline
    found = ledger.moments("production", [pipeline], since, until)[pipeline]
    assert [(m.release_id, m.kind, m.weight, m.promoted, m.outcome) for m in found] == [
        (late.release_id, Kind.CHANGE_FINISHED, 10, False, ""),
        (late.release_id, Kind.TRAFFIC_WITHDRAWN, 0, False, ""),
        (late.release_id, Kind.RELEASE_CLOSED, 0, False, "rolled_back"),
    ]
    assert {m.opened_at for m in found} == {late.opened_at}
    before = ledger.moments("production", [pipeline], since - timedelta(days=1), since)[pipeline]
    assert [(m.release_id, m.promoted) for m in before] == [(early.release_id, True)]
    assert ledger.moments("production", ["another"], since, until) == {"another": []}
    assert [r.release_id for r in ledger.newest()] == [rehearsal.release_id]
