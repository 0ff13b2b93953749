"""Who approves a newer release ends the older ones that wait at the same place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Decision, Outcome
from relman_plugins.errors import Superseded
from relman_plugins.ledger.api import Ledger, ReleaseRecord, VoteResult, check_forward
from relman_plugins.steps.outcome import outcome_of
from tests.ledger.make import GATE, Clock, Open, build, make_shape, open_gate

CANARY = "production.canary_10"


def vote(ledger: Ledger, release: ReleaseRecord, decision: Decision = Decision.APPROVE) -> VoteResult:
    return ledger.votes.cast(
        release.release_id, GATE, airflow_user="a.alice", name="Alice", decision=decision, via="cli"
    )


def says(ledger: Ledger, release: ReleaseRecord, kind: Kind, **data: object) -> None:
    event = NewEvent(
        kind=kind, key=f"{release.release_id}:{kind}", step=CANARY, environment="production", data=data
    )
    assert ledger.record(release.release_id, event)


def state(ledger: Ledger, release: ReleaseRecord) -> str:
    gate = ledger.votes.gate(release.release_id, GATE)
    return gate.state if gate else "never opened"


@pytest.fixture
def both(ledger: Ledger, open_release: Open) -> tuple[ReleaseRecord, ReleaseRecord]:
    """An older and a newer release, both at the gate; the newer one has the lower version."""
    releases = open_release("run-1", "1.2.0"), open_release("run-2", "1.1.9")
    for release in releases:
        build(ledger, release)
        open_gate(ledger, release)
    return releases


def test_the_approval_of_a_newer_release_ends_the_older_one_that_waits(
    ledger: Ledger, both: tuple[ReleaseRecord, ReleaseRecord], clock: Clock
) -> None:
    older, newer = both
    assert vote(ledger, newer).accepted
    gate = ledger.votes.gate(older.release_id, GATE)
    assert gate is not None
    assert (gate.state, gate.decided_by) == ("superseded", newer.release_id)
    (event,) = ledger.events(older.release_id, kinds=[Kind.RELEASE_SUPERSEDED])
    assert (event.data["by"], event.actor.name) == (newer.release_id, "Alice")
    late = vote(ledger, older)
    assert (late.code, newer.release_id in late.reason) == ("decided", True)
    with pytest.raises(Superseded, match=newer.release_id):
        check_forward(
            ledger,
            older.release_id,
            older.plan.shape.step(CANARY),
            frame=older.plan.shape.frame,
            now=clock(),
        )
    outcome, why = outcome_of(older.plan.shape, ledger.events(older.release_id))
    assert (outcome, newer.release_id in why) == (Outcome.SUPERSEDED, True)
    assert not ledger.votes.open_gates()


def test_the_approval_of_the_older_one_leaves_the_newer_one_alone(
    ledger: Ledger, both: tuple[ReleaseRecord, ReleaseRecord]
) -> None:
    older, newer = both
    assert vote(ledger, older).accepted
    assert (state(ledger, older), state(ledger, newer)) == ("approved", "open")
    assert vote(ledger, newer).accepted
    # Approved, and nothing changed yet: it still waits, for its window or its turn.
    assert ledger.events(older.release_id, kinds=[Kind.RELEASE_SUPERSEDED])
    assert state(ledger, older) == "approved"


def test_a_rejection_and_a_first_of_two_approvals_supersede_nothing(
    ledger: Ledger, open_release: Open
) -> None:
    shape = make_shape(quorum=2)
    older, newer = open_release("run-1", shape=shape), open_release("run-2", "1.2.0", shape=shape)
    for release in (older, newer):
        open_gate(ledger, release, quorum=2)
    assert vote(ledger, newer).accepted
    assert state(ledger, older) == "open"
    ledger.votes.cast(newer.release_id, GATE, airflow_user="a.bob", decision=Decision.REJECT, via="cli")
    assert state(ledger, older) == "open"


def test_one_that_already_changes_the_environment_goes_on(
    ledger: Ledger, both: tuple[ReleaseRecord, ReleaseRecord]
) -> None:
    older, newer = both
    assert vote(ledger, older).accepted
    says(ledger, older, Kind.CHANGE_STARTED)
    assert vote(ledger, newer).accepted
    assert not ledger.events(older.release_id, kinds=[Kind.RELEASE_SUPERSEDED])


def test_other_pipelines_and_releases_that_have_ended_are_left_alone(
    ledger: Ledger, open_release: Open
) -> None:
    other = open_release("run-1", shape=make_shape("cart"))
    ended, newer = open_release("run-2", "1.2.0"), open_release("run-3", "1.3.0")
    for release in (other, ended, newer):
        open_gate(ledger, release)
    says(ledger, ended, Kind.RELEASE_CLOSED, outcome="failed")
    assert vote(ledger, newer).accepted
    for release in (other, ended):
        assert not ledger.events(release.release_id, kinds=[Kind.RELEASE_SUPERSEDED])


def test_one_that_comes_to_the_gate_after_a_newer_one_was_approved_is_superseded_there(
    ledger: Ledger, open_release: Open
) -> None:
    older, newer = open_release("run-1"), open_release("run-2", "1.2.0")
    open_gate(ledger, newer)
    assert vote(ledger, newer).accepted
    for _ in range(2):
        with pytest.raises(Superseded, match=newer.release_id):
            open_gate(ledger, older)
    assert state(ledger, older) == "never opened"
    assert len(ledger.events(older.release_id, kinds=[Kind.RELEASE_SUPERSEDED])) == 1


@pytest.mark.parametrize(
    "ended", [{"kind": Kind.RELEASE_CLOSED, "outcome": "rolled_back"}, {"kind": Kind.ABORT_REQUESTED}]
)
def test_a_newer_one_that_came_to_nothing_makes_room(
    ledger: Ledger, open_release: Open, ended: dict[str, object]
) -> None:
    older, newer = open_release("run-1"), open_release("run-2", "1.2.0")
    open_gate(ledger, newer)
    assert vote(ledger, newer).accepted
    says(ledger, newer, **ended)  # type: ignore[arg-type]
    assert open_gate(ledger, older).state == "open"


def test_votes_on_many_releases_at_once_end_in_one_order(ledger: Ledger, open_release: Open) -> None:
    """Nobody waits for ever, and whatever was approved last leaves nothing older waiting."""
    releases = [open_release(f"run-{n}", f"1.{n}.0") for n in range(6)]
    for release in releases:
        open_gate(ledger, release)
    with ThreadPoolExecutor(6) as pool:
        accepted = [r.accepted for r in pool.map(lambda r: vote(ledger, r), releases)]
    assert accepted[-1]
    assert [state(ledger, r) in ("approved", "superseded") for r in releases] == [True] * 6
    gone = [bool(ledger.events(r.release_id, kinds=[Kind.RELEASE_SUPERSEDED])) for r in releases]
    assert gone == [True] * 5 + [False]


def test_nobody_can_write_the_event_by_hand(ledger: Ledger, release: ReleaseRecord) -> None:
    event = NewEvent(kind=Kind.RELEASE_SUPERSEDED, key="k", actor=Actor(), data={"reason": "no"})
    with pytest.raises(Exception, match="only the ledger's own calls"):
        ledger.record(release.release_id, event)


def test_the_first_of_two_gates_of_a_stage_supersedes_nothing(ledger: Ledger, open_release: Open) -> None:
    shape = make_shape()
    first = shape.step(GATE)
    second = first.model_copy(update={"id": f"{GATE}_2", "needs": (GATE,)})
    shape = shape.model_copy(update={"steps": (*shape.steps, second)})
    older, newer = open_release("run-1", shape=shape), open_release("run-2", "1.2.0", shape=shape)
    for release in (older, newer):
        open_gate(ledger, release)
    assert vote(ledger, newer).accepted
    assert state(ledger, older) == "open"
