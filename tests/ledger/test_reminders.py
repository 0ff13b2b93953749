from __future__ import annotations

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import Ledger, ReleaseRecord
from tests.ledger.make import GATE, Clock, open_gate

HOUR = 3600


def remind(ledger: Ledger, release: ReleaseRecord) -> list[str] | None:
    event = ledger.votes.remind(release.release_id, GATE)
    return None if event is None else [p["id"] for p in event.data["people"]]


def waiting(ledger: Ledger, release: ReleaseRecord, **other: object) -> None:
    open_gate(ledger, release, **{"remind_s": 2 * HOUR, "timeout_s": 24 * HOUR, "quorum": 2, **other})


def test_those_who_have_not_answered_are_reminded_once_each_interval(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    waiting(ledger, release)
    assert remind(ledger, release) is None
    clock.forward(2 * HOUR)
    assert remind(ledger, release) == ["alice", "bob"]
    assert remind(ledger, release) is None
    assert ledger.votes.cast(
        release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="cli"
    ).accepted
    clock.forward(2 * HOUR)
    assert remind(ledger, release) == ["bob"]
    events = ledger.events(release.release_id, kinds=[Kind.GATE_REMINDED])
    assert [(e.data["n"], e.data["missing"], e.environment) for e in events] == [
        (1, 2, "production"),
        (2, 1, "production"),
    ]


def test_what_nobody_was_there_to_send_is_not_sent_in_a_heap(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    waiting(ledger, release)
    clock.forward(11 * HOUR)
    assert remind(ledger, release)
    assert remind(ledger, release) is None
    assert [e.data["n"] for e in ledger.events(release.release_id, kinds=[Kind.GATE_REMINDED])] == [5]


def test_nobody_is_reminded_of_what_is_over_or_stopped(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    waiting(ledger, release)

    def person(kind: Kind, key: str) -> None:
        ledger.record(release.release_id, NewEvent(kind=kind, key=key, actor=Actor(kind="person", id="bob")))

    clock.forward(2 * HOUR)
    person(Kind.RELEASE_HELD, "held")
    assert remind(ledger, release) is None
    person(Kind.RELEASE_RESUMED, "resumed")
    assert remind(ledger, release)
    clock.forward(2 * HOUR)
    person(Kind.ABORT_REQUESTED, "aborted")
    assert remind(ledger, release) is None


def test_a_decided_gate_and_one_out_of_time_remind_nobody(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    waiting(ledger, release, quorum=1, timeout_s=3 * HOUR)
    clock.forward(3 * HOUR)
    assert remind(ledger, release) is None
    clock.forward(-HOUR)
    ledger.votes.cast(release.release_id, GATE, airflow_user="a.bob", decision=Decision.REJECT, via="cli")
    assert remind(ledger, release) is None


def test_a_gate_that_reminds_never_does_not(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    waiting(ledger, release, remind_s=None)
    clock.forward(20 * HOUR)
    assert remind(ledger, release) is None
