from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Person
from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerError
from relman_plugins.ledger.api import Ledger, ReleaseRecord, VoteResult
from tests.ledger.make import ALICE, BOB, GATE, Clock, Open, make_shape, open_gate, subject_of


def cast(ledger: Ledger, release: ReleaseRecord, user: str = "a.alice", **other: Any) -> VoteResult:
    arguments = {"decision": Decision.APPROVE, "via": "api"} | other
    return ledger.votes.cast(release.release_id, GATE, airflow_user=user, **arguments)


def decisions(ledger: Ledger, release: ReleaseRecord) -> list[dict[str, Any]]:
    return [e.data for e in ledger.events(release.release_id, kinds=[Kind.GATE_DECIDED])]


def test_a_gate_opens_once(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    gate = open_gate(ledger, release)
    assert (gate.state, gate.round, gate.missing, gate.votes) == ("open", 1, 1, ())
    assert gate.subject_digest == digest_of(subject_of(release))
    assert gate.expires_at == clock.now + timedelta(seconds=600)
    clock.forward(60)
    assert open_gate(ledger, release) == gate
    assert ledger.votes.gate(release.release_id, GATE) == gate
    (event,) = ledger.events(release.release_id, kinds=[Kind.GATE_OPENED])
    assert (event.step, event.environment) == (GATE, "production")


def test_a_quorum_of_one_decides(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    gate = open_gate(ledger, release)
    clock.forward(5)
    result = cast(ledger, release, digest=gate.subject_digest, comment="go", name="Alice A", via="cli")
    assert result.accepted
    assert result.gate is not None
    assert (result.gate.state, result.gate.decided_by, result.gate.missing) == ("approved", "alice", 0)
    assert result.gate.decided_at == clock.now
    (voted,) = ledger.events(release.release_id, kinds=[Kind.GATE_VOTED])
    assert (voted.actor.kind, voted.actor.id, voted.actor.name, voted.actor.via) == (
        "person",
        "alice",
        "Alice A",
        "cli",
    )
    assert decisions(ledger, release) == [
        {"state": "approved", "by": "alice", "digest": gate.subject_digest, "round": 1, "comment": "go"}
    ]


def test_a_quorum_of_two_says_what_is_missing(ledger: Ledger, open_release: Open) -> None:
    release = open_release(shape=make_shape(quorum=2))
    open_gate(ledger, release, quorum=2)
    first = cast(ledger, release)
    assert first.reason == ("recorded; 1 more of 2 approvals needed at production.approval: 1 of Bob")
    assert decisions(ledger, release) == []
    second = cast(ledger, release, "a.bob")
    assert second.gate is not None
    assert second.gate.state == "approved"
    assert [v.person for v in second.gate.votes] == ["alice", "bob"]


def test_one_no_decides_against_any_number(ledger: Ledger, open_release: Open) -> None:
    release = open_release(shape=make_shape(quorum=2))
    open_gate(ledger, release, quorum=2)
    cast(ledger, release)
    result = cast(ledger, release, "a.bob", decision=Decision.REJECT, comment="not on a Friday")
    assert result.gate is not None
    assert (result.gate.state, result.gate.decided_by, result.gate.comment) == (
        "rejected",
        "bob",
        "not on a Friday",
    )


def expect(ledger: Ledger, release: ReleaseRecord, result: VoteResult, code: str, words: str) -> None:
    """The vote was refused for this reason, and decided nothing."""
    assert (result.accepted, result.code) == (False, code)
    assert words in result.reason
    if result.gate is not None:
        assert ledger.votes.gate(release.release_id, GATE) == result.gate


def test_votes_that_must_not_count_are_refused_with_a_reason(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = open_release(shape=make_shape(quorum=2))
    expect(ledger, release, cast(ledger, release), "unknown_gate", "no open gate production.approval")
    gate = open_gate(ledger, release, quorum=2)
    expect(ledger, release, cast(ledger, release, "mallory"), "not_entitled", "ask one of: Alice, Bob")
    expect(ledger, release, cast(ledger, release, "alice"), "not_entitled", "alice may not answer")
    expect(ledger, release, cast(ledger, release, digest="sha256:old"), "other_digest", gate.subject_digest)
    assert cast(ledger, release).accepted
    expect(ledger, release, cast(ledger, release), "voted_already", "alice already said approve")
    again = cast(ledger, release, decision=Decision.REJECT)
    expect(ledger, release, again, "voted_already", "withdraw that to say something else")
    clock.forward(600)
    expect(ledger, release, cast(ledger, release, "a.bob"), "expired", "ended at 2026-03-29T00:40:00+00:00")
    assert len(ledger.events(release.release_id, kinds=[Kind.GATE_VOTED])) == 1


def test_a_refused_vote_is_recorded_once_for_each_reason(ledger: Ledger, release: ReleaseRecord) -> None:
    open_gate(ledger, release)
    told = len(ledger.outbox.due(limit=500))
    for _ in range(3):
        cast(ledger, release, "mallory", name="Mallory", decision=Decision.REJECT, via="cli")
        cast(ledger, release, "m" * 5000)
        cast(ledger, release, digest="sha256:" + "o" * 5000)
    refused = ledger.events(release.release_id, kinds=[Kind.VOTE_REFUSED])
    assert [e.data["code"] for e in refused] == ["not_entitled", "not_entitled", "other_digest"]
    first = refused[0]
    assert (first.step, first.environment, first.actor.id, first.actor.name) == (
        GATE,
        "production",
        "mallory",
        "Mallory",
    )
    assert (first.data["decision"], first.data["via"], first.data["round"]) == ("reject", "cli", 1)
    assert first.data["reason"] == f"mallory may not answer gate {GATE} of {release.release_id}; " + (
        "ask one of: Alice, Bob"
    )
    assert max(len(str(e.data)) for e in refused) < 1000
    assert len(ledger.outbox.due(limit=500)) == told
    assert cast(ledger, release).accepted
    cast(ledger, release)
    assert ledger.events(release.release_id, kinds=[Kind.VOTE_REFUSED])[-1].data["code"] == "decided"


def test_a_vote_after_the_decision_is_refused(ledger: Ledger, release: ReleaseRecord) -> None:
    open_gate(ledger, release)
    cast(ledger, release)
    result = cast(ledger, release, "a.bob", decision=Decision.REJECT)
    expect(ledger, release, result, "decided", "is approved by alice since 2026-03-29T00:30:00+00:00")
    assert len(decisions(ledger, release)) == 1


def test_a_vote_on_a_closed_release_is_refused(ledger: Ledger, release: ReleaseRecord) -> None:
    open_gate(ledger, release)
    ledger.record(
        release.release_id,
        NewEvent(kind=Kind.RELEASE_CLOSED, key="c", data={"outcome": "aborted", "reason": "x"}),
    )
    expect(ledger, release, cast(ledger, release), "release_closed", "is closed")
    assert ledger.votes.open_gates() == []


@pytest.mark.parametrize(("on_timeout", "state"), [("reject", "rejected"), ("expire", "expired")])
def test_time_decides_but_never_approves(
    ledger: Ledger, release: ReleaseRecord, clock: Clock, on_timeout: str, state: str
) -> None:
    open_gate(ledger, release, on_timeout=on_timeout)
    clock.forward(599.9)
    gate = ledger.votes.expire_gate(release.release_id, GATE)
    assert gate is not None
    assert gate.state == "open"
    clock.forward(0.1)
    gate = ledger.votes.expire_gate(release.release_id, GATE)
    assert gate is not None
    assert (gate.state, gate.decided_by) == (state, "timeout")
    assert ledger.votes.expire_gate(release.release_id, GATE) == gate
    assert len(decisions(ledger, release)) == 1
    assert open_gate(ledger, release).state == state
    assert ledger.votes.expire_gate(release.release_id, "nothing") is None


def test_a_hold_stops_neither_the_answers_nor_the_clock(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    answered, silent = open_release(run_id="run-1"), open_release(run_id="run-2")
    for release in (answered, silent):
        open_gate(ledger, release)
        ledger.record(release.release_id, NewEvent(kind=Kind.RELEASE_HELD, key=f"held:{release.release_id}"))
    assert cast(ledger, answered).accepted
    clock.forward(600)
    gate = ledger.votes.expire_gate(silent.release_id, GATE)
    assert gate is not None
    assert (gate.state, gate.decided_by) == ("rejected", "timeout")


def test_something_else_to_approve_asks_again(ledger: Ledger, release: ReleaseRecord) -> None:
    first = open_gate(ledger, release)
    cast(ledger, release)
    second = open_gate(ledger, release, subject=subject_of(release, artifact_digest="sha256:other"))
    assert (second.round, second.state, second.votes, second.missing) == (2, "open", (), 1)
    result = cast(ledger, release, digest=first.subject_digest)
    expect(ledger, release, result, "other_digest", second.subject_digest)
    assert cast(ledger, release, digest=second.subject_digest).accepted


def test_something_else_does_not_overrule_a_no(ledger: Ledger, release: ReleaseRecord) -> None:
    open_gate(ledger, release)
    cast(ledger, release, decision=Decision.REJECT)
    gate = open_gate(ledger, release, subject=subject_of(release, artifact_digest="sha256:other"))
    assert (gate.round, gate.state) == (1, "rejected")


def test_a_quorum_nobody_can_reach_is_an_error(ledger: Ledger, release: ReleaseRecord) -> None:
    with pytest.raises(LedgerError, match="a quorum of 3 can't be reached by 2 people"):
        open_gate(ledger, release, quorum=3)
    with pytest.raises(LedgerError, match="quorum of 0"):
        open_gate(ledger, release, quorum=0)
    # Airflow takes an empty list of answerers for everybody.
    with pytest.raises(LedgerError, match="can't be reached by 0 people"):
        open_gate(ledger, release, people=())
    twice = (ALICE, Person(id="alice2", airflow="a.alice"))
    with pytest.raises(LedgerError, match="can't be reached by 1 people"):
        open_gate(ledger, release, people=twice, quorum=2)


def test_open_gates_are_those_that_wait(ledger: Ledger, open_release: Open) -> None:
    releases = [open_release(f"run-{i}") for i in range(3)]
    for release in releases:
        open_gate(ledger, release)
    cast(ledger, releases[0])
    waiting = [g.release_id for g in ledger.votes.open_gates()]
    assert waiting == [releases[1].release_id, releases[2].release_id]
    assert [g.state for g in ledger.votes.gates(releases[0].release_id)] == ["approved"]


def test_a_comment_is_kept_clean_and_short(ledger: Ledger, release: ReleaseRecord) -> None:
    open_gate(ledger, release, people=(ALICE, BOB))
    result = cast(ledger, release, comment="\x00\ud800" + "x" * 5000)
    assert result.gate is not None
    assert result.gate.comment == "?" + "x" * 3999


def test_a_vote_on_the_question_of_an_earlier_round_does_not_count(
    ledger: Ledger, release: ReleaseRecord
) -> None:
    for version in ("1.1.0", "1.1.1"):
        open_gate(ledger, release, subject=subject_of(release, version=version))
    said = {"airflow_user": "a.alice", "decision": Decision.APPROVE, "via": "slack"}
    late = ledger.votes.cast(release.release_id, GATE, round_=1, **said)
    assert (late.accepted, late.code) == (False, "other_round")
    assert ledger.votes.cast(release.release_id, GATE, round_=2, **said).accepted
