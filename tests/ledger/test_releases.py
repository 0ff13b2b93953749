from __future__ import annotations

from datetime import UTC

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.errors import LedgerError
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from relman_plugins.ledger.releases import part_of
from tests.ledger.make import Clock, Open, make_shape


def closed(key: str, outcome: str = "succeeded") -> NewEvent:
    return NewEvent(kind=Kind.RELEASE_CLOSED, key=key, data={"outcome": outcome, "reason": "done"})


def test_a_release_reads_back_as_it_was_opened(ledger: Ledger, open_release: Open, clock: Clock) -> None:
    said = {
        "changes": "new ünïcode ✓",
        "ticket": "https://tracker.example/CHG-42",
        "emergency": True,
        "emergency_reason": "payments are down",
        "parameters": {"users": 5, "share": 0.5, "loud": False},
    }
    opened = open_release(**said)
    assert opened.release_id == "checkout-1.1.0-1"
    assert ledger.release(opened.release_id) == opened
    assert ledger.release_of_run("release__checkout", "run-1") == opened
    assert opened.plan.hash == opened.plan_hash
    assert opened.plan.shape.hash == opened.shape_hash
    assert opened.opened_at == clock.now
    assert opened.opened_at.tzinfo is UTC
    (event,) = ledger.events(opened.release_id)
    assert event.kind is Kind.RELEASE_OPENED
    assert event.actor.id == "carol"
    assert event.data.pop("row_digest").startswith("sha256:")
    assert event.data == {"version": "1.1.0", "plan_hash": opened.plan_hash, "dry_run": False, **said}


def test_opening_a_run_again_returns_what_was_stored_first(ledger: Ledger, open_release: Open) -> None:
    first = open_release()
    assert open_release(version="9.9.9") == first
    assert len(ledger.events(first.release_id)) == 1
    assert ledger.outbox.pending() == 1


def test_releases_of_one_version_are_numbered(open_release: Open) -> None:
    ids = [
        open_release(f"run-{i}", version).release_id for i, version in enumerate(["1.0", "1.0", "1.1", "1.0"])
    ]
    assert ids == ["checkout-1.0-1", "checkout-1.0-2", "checkout-1.1-1", "checkout-1.0-3"]


def test_pipelines_that_meet_in_one_id_both_get_a_release(open_release: Open) -> None:
    first = open_release(version="1-1", shape=make_shape("a"))
    second = open_release(version="1", shape=make_shape("a-1"))
    assert (first.release_id, second.release_id) == ("a-1-1-1", "a-1-1-2")


def test_releases_are_listed_newest_first(ledger: Ledger, open_release: Open, clock: Clock) -> None:
    ids = []
    for i in range(3):
        ids.append(open_release(f"run-{i}").release_id)
        clock.forward(1)
    other = open_release("run-x", shape=make_shape("other")).release_id
    ledger.record(ids[1], closed("c"))
    assert [r.release_id for r in ledger.releases()] == [other, *reversed(ids)]
    assert [r.release_id for r in ledger.releases("checkout", limit=2)] == [ids[2], ids[1]]
    assert [r.release_id for r in ledger.releases("checkout", active=True)] == [ids[2], ids[0]]
    assert [r.release_id for r in ledger.releases(active=False)] == [ids[1]]
    assert ledger.release("nothing") is None
    assert ledger.release_of_run("nothing", "run-1") is None


def test_of_many_releases_in_flight_each_has_its_turn(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    ids = []
    for i in range(6):
        ids.append(open_release(f"run-{i}").release_id)
        clock.forward(1)
    other = open_release("run-x", shape=make_shape("other")).release_id
    ledger.record(ids[0], closed("c"))
    assert [r.release_id for r in ledger.in_flight(10)] == [*ids[1:], other]
    assert ledger.pipelines_in_flight() == {"checkout", "other"}
    turns = []
    for _ in range(3):
        turns.append([r.release_id for r in ledger.in_flight(2)])
        clock.forward(60)
    assert sorted(r for turn in turns for r in turn) == sorted([*ids[1:], other])
    assert max(map(len, turns)) == 2
    ledger.record(other, closed("o"))
    assert ledger.pipelines_in_flight() == {"checkout"}


@pytest.mark.parametrize("every", range(1, 7))
@pytest.mark.parametrize("parts", range(1, 8))
def test_no_part_is_left_out_when_maintenance_is_always_late(parts: int, every: int) -> None:
    turns = range(29_000_000, 29_000_000 + 1000, every)
    assert {part_of(turn, parts) for turn in turns} == set(range(parts))


def test_an_event_is_recorded_once_whatever_comes_second(ledger: Ledger, release: ReleaseRecord) -> None:
    new = NewEvent(kind=Kind.STEP_FAILED, key="k", step="build", data={"message": "first"})
    recorded = ledger.record(release.release_id, new)
    assert recorded is not None
    assert recorded.data == {"message": "first"}
    assert ledger.record(release.release_id, new.model_copy(update={"data": {"message": "second"}})) is None
    assert ledger.events(release.release_id, kinds=[Kind.STEP_FAILED]) == [recorded]
    assert ledger.outbox.pending() == 2


def test_events_are_read_on_from_the_last_one_seen(ledger: Ledger, release: ReleaseRecord) -> None:
    for i in range(4):
        ledger.record(release.release_id, NewEvent(kind=Kind.STEP_STARTED, key=f"k{i}", step="build"))
    events = ledger.events(release.release_id)
    assert [e.id for e in events] == sorted(e.id for e in events)
    assert ledger.events(release.release_id, after=events[2].id) == events[3:]
    assert ledger.last_event_id() == events[-1].id


def test_a_release_closes_once(ledger: Ledger, release: ReleaseRecord) -> None:
    assert ledger.record(release.release_id, closed("by-the-step")) is not None
    assert ledger.record(release.release_id, closed("by-the-reaper", "failed")) is None
    assert ledger.status(release.release_id).outcome == "succeeded"


def test_an_event_of_no_release_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no release 'ghost'"):
        ledger.record("ghost", NewEvent(kind=Kind.STEP_STARTED, key="k"))


@pytest.mark.parametrize(
    "new",
    [
        NewEvent(kind=Kind.GATE_DECIDED, key="k", step="production.approval", data={"state": "approved"}),
        NewEvent(kind=Kind.LOCK_ACQUIRED, key="k"),
        NewEvent(kind=Kind.STEP_STARTED, key="ledger:decided:production.approval:1:checkout-1.1.0-1"),
    ],
)
def test_decisions_have_one_door(ledger: Ledger, release: ReleaseRecord, new: NewEvent) -> None:
    with pytest.raises(LedgerError, match="only the ledger's own calls"):
        ledger.record(release.release_id, new)
    assert len(ledger.events(release.release_id)) == 1


def test_strange_output_does_not_cost_the_event(ledger: Ledger, release: ReleaseRecord) -> None:
    data = {
        "message": "nul \x00 half \ud800 end",
        "value": float("nan"),
        "deep": [{"x": float("inf")}],
        "t": (1,),
    }
    actor = Actor(kind="person", id="x\x00y")
    new = NewEvent(kind=Kind.STEP_FAILED, key="k", step="build", data=data, actor=actor)
    ledger.record(release.release_id, new)
    (event,) = ledger.events(release.release_id, kinds=[Kind.STEP_FAILED])
    assert event.data == {"message": "nul  half ? end", "value": None, "deep": [{"x": None}], "t": [1]}
    assert event.actor.id == "xy"
