"""An approval that holds for a time only: the guard's side, by the stored plan and the ledger's clock."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.status import Decision
from relman_plugins.errors import Lapsed, Refused
from relman_plugins.ledger.api import GateState, Ledger, ReleaseRecord
from relman_plugins.plan.model import Shape, Step
from tests.ledger.make import GATE, Clock, Open, build, go, make_shape, open_gate

HOUR = 3600.0
CANARY, MONITOR, ROLL = "production.canary_10", "production.monitor", "production.roll"


def short_lived() -> Shape:
    shape = make_shape()
    steps = [
        s.model_copy(update={"args": s.args | {"valid_for_s": HOUR}}) if s.id == GATE else s
        for s in shape.steps
    ]
    place = {"stage": "production", "environment": "production"}
    monitor = Step(id=MONITOR, kind="monitor", gates=(GATE,), changes=True, **place)
    roll = Step(id=ROLL, kind="roll", gates=(GATE,), changes=True, **place)
    return shape.model_copy(update={"steps": (*steps, monitor, roll)})


@pytest.fixture
def release(ledger: Ledger, open_release: Open) -> ReleaseRecord:
    """A release that was approved just now."""
    release = open_release(shape=short_lived())
    build(ledger, release)
    ask(ledger, release)
    vote(ledger, release)
    return release


def ask(ledger: Ledger, release: ReleaseRecord, **other: Any) -> GateState:
    return open_gate(ledger, release, valid_for_s=HOUR, **other)


def vote(ledger: Ledger, release: ReleaseRecord) -> None:
    done = ledger.votes.cast(
        release.release_id, GATE, airflow_user="a.alice", decision=Decision.APPROVE, via="api"
    )
    assert done.accepted, done.reason


def test_it_holds_to_the_last_moment_and_no_longer(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    gate = ledger.votes.gate(release.release_id, GATE)
    assert gate is not None
    clock.forward(HOUR - 0.001)
    assert gate.valid_until is not None
    assert gate.valid_until > clock.now
    go(ledger, release)
    clock.forward(0.001)
    with pytest.raises(Lapsed, match="ran out at 2026-03-29 01:30:00 UTC") as caught:
        go(ledger, release)
    assert (caught.value.gate, caught.value.round) == (GATE, 1)


def test_a_new_round_opens_for_the_round_that_ran_out_and_only_once(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    clock.forward(2 * HOUR)
    # Without saying which round has run out, the same question is answered already.
    assert ask(ledger, release).round == 1
    first = ask(ledger, release, renews=1, asker=CANARY)
    assert (first.round, first.state, first.renews, first.missing) == (2, "open", 1, 1)
    assert ask(ledger, release, renews=1, asker=CANARY) == first
    assert ledger.votes.asked_by(release.release_id, CANARY) == first
    with pytest.raises(Lapsed, match="asked again"):
        go(ledger, release)
    vote(ledger, release)
    go(ledger, release)
    assert ask(ledger, release, renews=1, asker=CANARY).round == 2


def test_whoever_opens_the_gate_with_a_longer_time_changes_nothing(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = open_release(shape=short_lived())
    build(ledger, release)
    open_gate(ledger, release, valid_for_s=24 * HOUR)
    vote(ledger, release)
    clock.forward(2 * HOUR)
    with pytest.raises(Lapsed):
        go(ledger, release)


def test_a_step_that_has_made_its_change_and_one_that_raises_nothing_ask_nobody(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    clock.forward(2 * HOUR)
    go(ledger, release, MONITOR)
    made = NewEvent(kind=Kind.CHANGE_FINISHED, key="k", step=CANARY, environment="production")
    ledger.record(release.release_id, made)
    go(ledger, release)


def test_what_does_not_match_is_refused_and_not_asked_again(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    clock.forward(HOUR / 2)
    build(ledger, release, "sha256:" + "b" * 64)
    with pytest.raises(Refused, match="approve again what is to ship now"):
        go(ledger, release)


def test_each_wave_of_a_rolling_change_rests_on_the_approval(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    made = NewEvent(kind=Kind.CHANGE_FINISHED, key="k", step=ROLL, environment="production")
    ledger.record(release.release_id, made)
    clock.forward(HOUR - 1)
    go(ledger, release, ROLL)
    clock.forward(1)
    with pytest.raises(Lapsed):
        go(ledger, release, ROLL)
