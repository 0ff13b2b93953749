"""What was done about a rejection of what an emergency skipped: who may say so, and what a rollback says."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import Ledger, ReleaseRecord, VoteResult
from tests.ledger.make import GATE, Clock
from tests.ledger.test_break_glass import DEBT, FINN, GLASS, MANAGERS, cast, debt_of, start

BOB = Actor(kind="person", id="bob", name="Bob", via="cli")


@pytest.fixture
def release(ledger: Ledger) -> ReleaseRecord:
    """An emergency that erin has said no to afterwards, and that finn might have approved, too."""
    glass = GLASS.model_copy(update={"reviewers": (*GLASS.reviewers, FINN)})
    found = start(ledger, [MANAGERS], glass=glass)
    ledger.votes.waive(found.release_id, GATE)
    return found


def reject(ledger: Ledger, release: ReleaseRecord) -> None:
    assert cast(ledger, release, "a.erin", decision=Decision.REJECT, comment="no need").accepted


def settle(
    ledger: Ledger, release: ReleaseRecord, user: str, reason: str = "an alert", gate: str = DEBT
) -> VoteResult:
    return ledger.votes.settle(release.release_id, gate, airflow_user=user, reason=reason, via="cli")


def settled(ledger: Ledger, release: ReleaseRecord) -> list[Event]:
    return ledger.events(release.release_id, kinds=[Kind.GATE_SETTLED])


def rolled_back(ledger: Ledger, release: ReleaseRecord, environment: str = "production") -> None:
    """Record that somebody asked for the rollback, and that it was done."""
    asked = NewEvent(
        kind=Kind.ROLLBACK_REQUESTED,
        key=f"asked:{environment}",
        environment=environment,
        actor=BOB,
        data={"reason": "it made things worse"},
    )
    done: dict[str, Any] = {"request": asked.key, "to": {"version": "1.0.0"}}
    ended = NewEvent(
        kind=Kind.ROLLBACK_FINISHED, key=f"done:{environment}", environment=environment, data=done
    )
    for event in (asked, ended):
        assert ledger.record(release.release_id, event)


def test_a_reviewer_says_what_was_done_and_nothing_is_owed_any_more(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    reject(ledger, release)
    assert [d.settled for d in ledger.votes.debts()] == [None]
    clock.forward(60)
    result = settle(ledger, release, "a.finn", " the on-call guide says when not to ")
    assert (result.accepted, "is settled" in result.reason) == (True, True)
    assert ledger.votes.debts() == []
    kept = debt_of(ledger, release)
    assert (kept.state, kept.comment) == ("rejected", "no need"), "the no stays"
    assert kept.settled is not None
    assert (kept.settled.how, kept.settled.by, kept.settled.at) == ("acknowledged", "finn", clock.now)
    assert kept.settled.reason == "the on-call guide says when not to"
    again = settle(ledger, release, "a.erin", "something else")
    assert (again.code, "was settled by finn" in again.reason) == ("decided", True)
    (event,) = settled(ledger, release)
    assert (event.actor.id, event.actor.via, event.environment) == ("finn", "cli", "production")


@pytest.mark.parametrize(
    ("user", "code", "why"),
    [
        (
            "a.dana",
            "own_release",
            "nobody settles their own emergency; ask one of: Erin",
        ),
        ("a.alice", "not_entitled", "a.alice may not settle"),
        ("nobody", "not_entitled", "ask one of: Erin, Finn"),
    ],
)
def test_nobody_else_says_so(ledger: Ledger, release: ReleaseRecord, user: str, code: str, why: str) -> None:
    reject(ledger, release)
    refused = settle(ledger, release, user)
    assert (refused.accepted, refused.code, why in refused.reason) == (False, code, True), refused.reason
    assert len(ledger.votes.debts()) == 1
    assert not settled(ledger, release)


def test_only_a_rejection_is_settled_and_with_a_reason(ledger: Ledger, release: ReleaseRecord) -> None:
    undecided = settle(ledger, release, "a.erin")
    assert (undecided.code, "approve or reject it first" in undecided.reason) == ("not_owed", True)
    assert settle(ledger, release, "a.erin", gate="production.nothing").code == "unknown_gate"
    reject(ledger, release)
    assert settle(ledger, release, "a.erin", " \n").code == "comment_required"
    assert settle(ledger, release, "a.erin").accepted
    other = start(ledger, [MANAGERS], run_id="run-2")
    ledger.votes.waive(other.release_id, GATE)
    assert cast(ledger, other, "a.erin").accepted
    approved = settle(ledger, other, "a.erin")
    assert (approved.code, "nothing is owed there" in approved.reason) == ("not_owed", True)


def test_a_rollback_after_the_no_settles_it_in_the_name_of_who_asked_for_it(
    ledger: Ledger, release: ReleaseRecord
) -> None:
    def by_rollback() -> Event | None:
        return ledger.votes.settle_by_rollback(release.release_id, DEBT)

    assert by_rollback() is None
    reject(ledger, release)
    rolled_back(ledger, release, "staging")
    assert by_rollback() is None, "that is another environment"
    rolled_back(ledger, release)
    event = by_rollback()
    assert event is not None
    assert (event.actor.id, event.data["how"]) == ("bob", "rolled_back")
    assert event.data["reason"] == "production was rolled back to 1.0.0: it made things worse"
    assert by_rollback() is None
    assert ledger.votes.debts() == []
    assert settle(ledger, release, "a.erin").code == "decided"


def test_a_rollback_before_the_no_says_nothing_of_what_was_done_about_the_no(
    ledger: Ledger, release: ReleaseRecord
) -> None:
    rolled_back(ledger, release)
    reject(ledger, release)
    assert ledger.votes.settle_by_rollback(release.release_id, DEBT) is None
    assert len(ledger.votes.debts()) == 1


def test_nor_does_one_that_was_told_only_later(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    before = clock.now
    clock.forward(60)
    reject(ledger, release)
    spooled = NewEvent(
        kind=Kind.ROLLBACK_FINISHED, key="done", environment="production", at=before, data={"to": None}
    )
    assert ledger.record(release.release_id, spooled)
    assert ledger.votes.settle_by_rollback(release.release_id, DEBT) is None
    assert len(ledger.votes.debts()) == 1


def test_nobody_writes_it_by_hand(ledger: Ledger, release: ReleaseRecord) -> None:
    with pytest.raises(Exception, match="only the ledger's own calls"):
        ledger.record(release.release_id, NewEvent(kind=Kind.GATE_SETTLED, key="k", step=DEBT))
