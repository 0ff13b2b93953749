"""Approve now, take effect later."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.errors import Lapsed, TooEarly
from relman_plugins.ledger.api import Ledger, ReleaseRecord, VoteResult, check_forward
from tests.ledger.make import GATE, Clock, Open, build, make_shape, open_gate
from tests.ledger.test_lapse import HOUR, go, short_lived


def vote(ledger: Ledger, release: ReleaseRecord, user: str = "a.alice", **more: Any) -> VoteResult:
    said = {"decision": Decision.APPROVE, "via": "cli"} | more
    return ledger.votes.cast(release.release_id, GATE, airflow_user=user, **said)


@pytest.fixture
def release(ledger: Ledger, open_release: Open) -> ReleaseRecord:
    release = open_release(shape=make_shape(quorum=2))
    build(ledger, release)
    open_gate(ledger, release, quorum=2)
    return release


def test_nothing_goes_forward_before_the_latest_time_that_an_approver_has_set(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    berlin = timezone(timedelta(hours=1))
    early, late = clock.now + timedelta(hours=1), (clock.now + timedelta(hours=2)).astimezone(berlin)
    assert vote(ledger, release, not_before=late).accepted
    done = vote(ledger, release, "a.bob", not_before=early)
    assert done.reason == f"recorded; {GATE} is approved, and takes effect at 2026-03-29T02:30:00+00:00"
    (decided,) = ledger.events(release.release_id, kinds=[Kind.GATE_DECIDED])
    assert decided.data["effect_at"] == "2026-03-29T02:30:00+00:00"
    assert ledger.status(release.release_id).takes_effect == late
    clock.forward(2 * HOUR - 0.001)
    with pytest.raises(TooEarly, match="takes effect at 2026-03-29 02:30:00 UTC") as caught:
        go(ledger, release)
    assert caught.value.until == late
    clock.forward(0.001)
    go(ledger, release)


def test_without_a_time_it_takes_effect_at_once(ledger: Ledger, release: ReleaseRecord) -> None:
    for user in ("a.alice", "a.bob"):
        assert vote(ledger, release, user).accepted
    go(ledger, release)
    assert ledger.status(release.release_id).takes_effect is None


@pytest.mark.parametrize(
    ("hours", "more", "why"),
    [
        (-1, {}, "is over; say a later time"),
        (0, {}, "is over; say a later time"),
        (24 * 367, {}, "more than 366 days away"),
        (1, {"decision": Decision.REJECT}, "a rejection takes effect at once"),
    ],
)
def test_times_that_make_no_sense_are_refused_and_the_gate_keeps_waiting(
    ledger: Ledger, release: ReleaseRecord, clock: Clock, hours: float, more: Any, why: str
) -> None:
    said = vote(ledger, release, not_before=clock.now + timedelta(hours=hours), **more)
    assert (said.accepted, said.code) == (False, "unfit_time")
    assert why in said.reason
    naive = vote(ledger, release, not_before=datetime(2026, 3, 30, 12, 0))  # noqa: DTZ001 - what is refused
    assert "has no time zone" in naive.reason
    gate = ledger.votes.gate(release.release_id, GATE)
    assert gate is not None
    assert (gate.state, gate.votes) == ("open", ())


def test_a_question_about_what_is_under_way_takes_no_time(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = open_release()
    open_gate(ledger, release, subject={"step": "production.canary_10", "verdict": "no_data"})
    said = vote(ledger, release, not_before=clock.now + timedelta(hours=1))
    assert "only an approval before a change" in said.reason


def test_what_holds_for_a_time_holds_from_its_effect(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = open_release(shape=short_lived())
    build(ledger, release)
    open_gate(ledger, release, valid_for_s=HOUR)
    done = vote(ledger, release, not_before=clock.now + timedelta(hours=5))
    assert done.gate is not None
    assert done.gate.valid_until == clock.now + timedelta(hours=6)
    clock.forward(5.5 * HOUR)
    go(ledger, release)
    clock.forward(0.5 * HOUR)
    with pytest.raises(Lapsed):
        go(ledger, release)


def test_a_time_of_an_earlier_round_does_not_count(ledger: Ledger, open_release: Open, clock: Clock) -> None:
    release = open_release()
    build(ledger, release)
    open_gate(ledger, release)
    assert vote(ledger, release, not_before=clock.now + timedelta(hours=5)).accepted
    build(ledger, release, "sha256:" + "b" * 64)
    gate = open_gate(ledger, release, subject=release_subject(release))
    assert (gate.round, gate.effect_at) == (2, None)
    assert vote(ledger, release).accepted
    check_forward(
        ledger,
        release.release_id,
        release.plan.shape.step("production.canary_10"),
        frame=release.plan.shape.frame,
        now=clock.now,
    )


def release_subject(release: ReleaseRecord) -> dict[str, Any]:
    from tests.ledger.make import subject_of

    return subject_of(release, artifact_digest="sha256:" + "b" * 64)
