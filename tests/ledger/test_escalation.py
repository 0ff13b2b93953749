"""A gate that has waited for a time calls on a second group, and not before."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.errors import Refused
from relman_plugins.ledger.api import GateState, Ledger, ReleaseRecord, VoteResult
from relman_plugins.plan.model import Shape
from tests.ledger.make import ALICE, BOB, GATE, Clock, Open, build, make_shape, open_gate
from tests.ledger.test_lapse import HOUR, go

DORA = Person(id="dora", airflow="a.dora", name="Dora", slack="U0DORA")
SECOND = {"after_s": 2 * HOUR, "group": "directors", "people": ["dora"]}
RULE = {"id": "managers", "group": "managers", "quorum": 1, "people": ["alice", "bob"]}
EVERYBODY = (ALICE, BOB, DORA)


def shape(**changed: Any) -> Shape:
    made = make_shape(people=EVERYBODY)
    args = {"rules": [RULE], "escalate": SECOND, "timeout_s": 24 * HOUR} | changed
    steps = [s.model_copy(update={"args": s.args | args}) if s.id == GATE else s for s in made.steps]
    return made.model_copy(update={"steps": tuple(steps)})


@pytest.fixture
def release(ledger: Ledger, open_release: Open) -> ReleaseRecord:
    release = open_release(shape=shape())
    build(ledger, release)
    ask(ledger, release)
    return release


def ask(ledger: Ledger, release: ReleaseRecord, **other: Any) -> GateState:
    from relman_plugins.domain.approval import Rule

    asked = {"people": EVERYBODY, "escalate": SECOND, "timeout_s": 24 * HOUR, **other}
    return open_gate(ledger, release, rules=(Rule.model_validate(RULE),), **asked)


def vote(ledger: Ledger, release: ReleaseRecord, user: str, decision: str = "approve") -> VoteResult:
    return ledger.votes.cast(
        release.release_id, GATE, airflow_user=user, decision=Decision(decision), via="cli"
    )


def test_the_second_group_is_refused_before_and_told_from_when(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    clock.forward(2 * HOUR - 0.001)
    for decision in ("approve", "reject"):
        said = vote(ledger, release, "a.dora", decision)
        assert (said.accepted, said.code) == (False, "not_yet")
        assert "directors may answer from 2026-03-29 02:30:00 UTC on" in said.reason
    gate = ledger.votes.gate(release.release_id, GATE)
    assert gate is not None
    assert [p.id for p in gate.people] == ["alice", "bob", "dora"]
    assert [p.id for p in gate.awaited] == ["alice", "bob"]
    assert not ledger.events(release.release_id, kinds=[Kind.GATE_ESCALATED])


def test_from_then_on_it_may_and_the_event_is_there_whoever_notices_first(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    clock.forward(2 * HOUR)
    done = vote(ledger, release, "a.dora")
    assert (done.accepted, done.gate and done.gate.state) == (True, "approved")
    (event,) = ledger.events(release.release_id, kinds=[Kind.GATE_ESCALATED])
    assert (event.data["group"], [p["id"] for p in event.data["people"]]) == ("directors", ["dora"])
    go(ledger, release)


def test_maintenance_tells_it_once(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    assert ledger.votes.escalate(release.release_id, GATE) is None
    clock.forward(2 * HOUR)
    assert ledger.votes.escalate(release.release_id, GATE)
    assert ledger.votes.escalate(release.release_id, GATE) is None
    gate = ledger.votes.gate(release.release_id, GATE)
    assert gate is not None
    assert (gate.escalated_at, [p.id for p in gate.awaited]) == (clock.now, ["alice", "bob", "dora"])


@pytest.mark.parametrize("kind", [Kind.RELEASE_HELD, Kind.ABORT_REQUESTED])
def test_nobody_is_called_for_what_is_stopped(
    ledger: Ledger, release: ReleaseRecord, clock: Clock, kind: Kind
) -> None:
    ledger.record(release.release_id, NewEvent(kind=kind, key="k", actor=Actor(kind="person", id="bob")))
    clock.forward(2 * HOUR)
    assert ledger.votes.escalate(release.release_id, GATE) is None


def test_a_decided_gate_and_one_out_of_time_escalate_no_more(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    clock.forward(24 * HOUR)
    assert ledger.votes.escalate(release.release_id, GATE) is None
    assert vote(ledger, release, "a.dora").code == "expired"


def test_the_end_is_never_an_approval(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    clock.forward(2 * HOUR)
    ledger.votes.escalate(release.release_id, GATE)
    clock.forward(22 * HOUR)
    ended = ledger.votes.expire_gate(release.release_id, GATE)
    assert ended is not None
    assert ended.state == "rejected"


def test_an_escalation_that_the_plan_does_not_have_counts_for_nothing(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    """Whoever opens the gate with an escalation of their own gets votes, and the guard believes the plan."""
    release = open_release(shape=shape(escalate=None))
    build(ledger, release)
    ask(ledger, release, escalate={**SECOND, "after_s": 1.0})
    clock.forward(2)
    assert vote(ledger, release, "a.dora").accepted
    with pytest.raises(Refused, match="has 0 valid approvals"):
        go(ledger, release)


def test_an_escalation_earlier_than_planned_counts_for_nothing(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = open_release(shape=shape())
    build(ledger, release)
    ask(ledger, release, escalate={**SECOND, "after_s": 1.0})
    clock.forward(2)
    assert vote(ledger, release, "a.dora").accepted
    with pytest.raises(Refused, match="has 0 valid approvals"):
        go(ledger, release)


def test_a_new_round_waits_anew(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    clock.forward(2 * HOUR)
    assert ledger.votes.escalate(release.release_id, GATE)
    build(ledger, release, "sha256:" + "b" * 64)
    from tests.ledger.make import subject_of

    gate = ask(ledger, release, subject=subject_of(release, artifact_digest="sha256:" + "b" * 64))
    assert (gate.round, gate.escalated_at) == (2, None)
    assert vote(ledger, release, "a.dora").code == "not_yet"
