"""Gates with rules: who may approve for which, what must be said, what is taken back, and the guard."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.approval import Rule
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.field import Field
from relman_plugins.domain.identity import Actor, Person
from relman_plugins.domain.status import Decision
from relman_plugins.errors import LedgerError, Refused
from relman_plugins.ledger.api import Ledger, ReleaseRecord, VoteResult, planned
from relman_plugins.plan.model import Shape
from tests.ledger.make import ALICE, BOB, GATE, Clock, Open, build, go, make_shape, subject_of

CAROL = Person(id="carol", airflow="a.carol", name="Carol")
DAVE = Person(id="dave", airflow="a.dave", name="Dave")
ALL = (ALICE, BOB, CAROL, DAVE)
CHANGE = Field(name="change", description="Its number", pattern="CHG[0-9]{7}")
MINUTES = Field(name="minutes", description="How long", type="integer", min=1, max=240, required=False)
MANAGERS = Rule(id="managers", group="managers", people=("alice", "bob", "carol"))
BOARD = Rule(
    id="board", group="board", people=("alice", "dave"), comment="required", fields=(CHANGE, MINUTES)
)
STARTER = Actor(kind="person", id="a.carol", name="a.carol", via="airflow")


def shape(*rules: Rule, emails: dict[str, str] | None = None) -> Shape:
    plain = make_shape(people=ALL, quorum=sum(r.quorum for r in rules))
    steps = [
        s.model_copy(
            update={
                "args": s.args | {"rules": [r.model_dump(mode="json") for r in rules], "emails": emails or {}}
            }
        )
        if s.id == GATE
        else s
        for s in plain.steps
    ]
    return plain.model_copy(update={"steps": tuple(steps)})


def asked(ledger: Ledger, open_release: Open, *rules: Rule, **more: Any) -> ReleaseRecord:
    """Open a release that Carol started, and its gate, as the gate's step does."""
    release = open_release(
        shape=shape(*rules, **more), started_by=STARTER, run_id=f"run-{ledger.last_event_id()}"
    )
    build(ledger, release)
    ask(ledger, release)
    return release


def ask(ledger: Ledger, release: ReleaseRecord, **other: Any) -> None:
    step = release.plan.shape.step(GATE)
    panel = planned(release, step, ledger.events(release.release_id))
    arguments: dict[str, Any] = {
        "subject": subject_of(release),
        "people": panel.people,
        "quorum": panel.needed,
        "rules": panel.rules,
        "own": panel.own,
        "timeout_s": 600,
        "on_timeout": "reject",
    }
    ledger.votes.open_gate(release.release_id, GATE, **(arguments | other))


def say(ledger: Ledger, release: ReleaseRecord, who: str, no: bool = False, **more: Any) -> VoteResult:
    decision = Decision.REJECT if no else Decision.APPROVE
    return ledger.votes.cast(
        release.release_id, GATE, airflow_user=f"a.{who}", decision=decision, via="api", **more
    )


def test_all_rules_are_needed_and_a_vote_counts_where_it_is_needed(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = asked(ledger, open_release, MANAGERS, BOARD)
    first = say(ledger, release, "alice", comment="fine", answers={"change": "CHG0000042"})
    assert first.gate is not None
    assert first.gate.counts == {"alice": "managers"}
    assert first.reason.endswith(
        "1 more of 2 approvals needed at production.approval: "
        "1 of board (Bob, Dave), with a comment and Change (change)"
    )
    with pytest.raises(Refused, match="is open, not approved"):
        go(ledger, release)
    second = say(ledger, release, "bob")
    assert second.gate is not None
    assert (second.gate.state, second.gate.counts) == ("approved", {"alice": "board", "bob": "managers"})
    go(ledger, release)


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({}, "unfit_answers", "for board: a comment, Change (change)"),
        ({"answers": {"change": "CHG0000042"}}, "comment_required", "for board: a comment"),
        (
            {"comment": "x", "answers": {"change": "CHG42"}},
            "unfit_answers",
            "matches CHG[0-9]{7}, got 'CHG42'",
        ),
        ({"comment": "x", "answers": {"change": "CHG0000042\nx"}}, "unfit_answers", "matches CHG"),
        (
            {"comment": "x", "answers": {"change": "CHG0000042", "minutes": 0}},
            "unfit_answers",
            "from 1 up to 240",
        ),
        (
            {"comment": "x", "answers": {"change": "CHG0000042", "color": "red"}},
            "unfit_answers",
            "no field 'color'",
        ),
    ],
)
def test_an_approval_says_what_its_rule_asks_for(
    ledger: Ledger, open_release: Open, said: dict[str, Any], code: str, words: str
) -> None:
    release = asked(ledger, open_release, BOARD)
    result = say(ledger, release, "dave", **said)
    assert (result.accepted, result.code) == (False, code)
    assert words in result.reason
    good = say(ledger, release, "dave", comment="x", answers={"change": "CHG0000042", "minutes": None})
    assert good.gate is not None
    assert (good.gate.state, good.gate.votes[0].answers) == ("approved", {"change": "CHG0000042"})


@pytest.mark.parametrize(
    "answers",
    [
        {"change": "https://me:hunter2secret@tracker.example"},
        {"change": "CHG0000042", "minutes": "token=hunter2secret"},
        {"change": "CHG" + "9" * 5000},
        {f"field-{n}": "x" for n in range(5000)},
    ],
)
def test_a_refusal_keeps_no_secret_and_no_flood(
    ledger: Ledger, open_release: Open, answers: dict[str, Any]
) -> None:
    release = asked(ledger, open_release, BOARD)
    result = say(ledger, release, "dave", comment="x", answers=answers)
    assert not result.accepted
    (refused,) = ledger.events(release.release_id, kinds=[Kind.VOTE_REFUSED])
    for kept in (result.reason, str(refused.data)):
        assert "hunter2secret" not in kept
        assert len(kept) < 1500


def test_a_pattern_takes_no_longer_for_a_text_that_was_made_for_it(
    ledger: Ledger, open_release: Open
) -> None:
    slow = BOARD.model_copy(update={"fields": (Field(name="x", description="x", pattern="(a+)+"),)})
    release = asked(ledger, open_release, slow)
    assert say(ledger, release, "dave", comment="x", answers={"x": "a" * 150 + "!"}).code == "unfit_answers"


def test_nobody_approves_their_own_release_but_may_reject_it(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = asked(ledger, open_release, MANAGERS.model_copy(update={"quorum": 2}))
    result = say(ledger, release, "carol")
    assert (result.accepted, result.code) == (False, "own_release")
    assert (
        "a.carol started it, and nobody approves their own release; ask one of: Alice, Bob" in result.reason
    )
    (refused,) = ledger.events(release.release_id, kinds=[Kind.VOTE_REFUSED])
    assert refused.data["code"] == "own_release"
    assert say(ledger, release, "alice").accepted
    assert say(ledger, release, "bob").accepted
    go(ledger, release)
    other = asked(ledger, open_release, MANAGERS)
    rejected = say(ledger, other, "carol", no=True)
    assert rejected.gate is not None
    assert (rejected.accepted, rejected.gate.state) == (True, "rejected")


def test_a_starter_is_known_by_the_name_too_where_ids_are_numbers(ledger: Ledger, open_release: Open) -> None:
    numbered = Person(id="carol", airflow="17", name="Carol")
    release = open_release(
        shape=make_shape(people=(ALICE, BOB, numbered)),
        started_by=STARTER,
        run_id=f"run-{ledger.last_event_id()}",
    )
    ask(
        ledger,
        release,
        people=(ALICE, BOB, numbered),
        quorum=1,
        rules=(MANAGERS,),
        own={"a.carol": "started it"},
    )
    result = ledger.votes.cast(
        release.release_id, GATE, airflow_user="17", name="a.carol", decision=Decision.APPROVE, via="api"
    )
    assert result.code == "own_release"


def test_the_guard_knows_a_starter_by_the_name_too(ledger: Ledger, open_release: Open, clock: Clock) -> None:
    numbered = Person(id="carol", airflow="17", name="Carol")
    plan = make_shape(people=(ALICE, BOB, numbered))
    args = plan.step(GATE).args | {"rules": [MANAGERS.model_dump(mode="json")]}
    steps = [s.model_copy(update={"args": args}) if s.id == GATE else s for s in plan.steps]
    release = open_release(shape=plan.model_copy(update={"steps": tuple(steps)}), started_by=STARTER)
    build(ledger, release)
    ask(ledger, release, rules=(), own={})
    said = ledger.votes.cast(
        release.release_id, GATE, airflow_user="17", name="a.carol", decision=Decision.APPROVE, via="api"
    )
    assert said.accepted
    with pytest.raises(Refused, match="0 valid approvals"):
        go(ledger, release)


def test_a_rule_may_allow_it(ledger: Ledger, open_release: Open, clock: Clock) -> None:
    release = asked(ledger, open_release, MANAGERS.model_copy(update={"self_approval": "allowed"}))
    assert say(ledger, release, "carol").accepted
    go(ledger, release)


def assess(ledger: Ledger, release: ReleaseRecord, email: str, n: int = 1) -> None:
    data = {
        "authors": [{"name": "Somebody", "email": email}],
        "risk": "low",
        "headline": "low",
        "contributions": [],
        "changes": {"head": "c0ffee", "commits": [], "commit_count": 1, "issues": []},
        "circumstances": {"live": "1.0.0"},
    }
    event = NewEvent(kind=Kind.CHANGE_ASSESSED, key=f"assessed:{release.release_id}:{n}", data=data)
    ledger.record(release.release_id, event)


def test_authors_of_its_commits_dont_approve_it(ledger: Ledger, open_release: Open, clock: Clock) -> None:
    release = open_release(
        shape=shape(MANAGERS, emails={"bob": "Bob@Shop.example"}),
        started_by=STARTER,
        run_id=f"run-{ledger.last_event_id()}",
    )
    build(ledger, release)
    assess(ledger, release, "bob@shop.example")
    ask(ledger, release)
    result = say(ledger, release, "bob")
    assert (result.code, "a.bob wrote commits in it" in result.reason) == ("own_release", True)
    assert say(ledger, release, "alice").accepted


def test_the_guard_knows_authors_whom_the_gate_did_not(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    release = asked(ledger, open_release, MANAGERS, emails={"bob": "bob@shop.example"})
    assert say(ledger, release, "bob").accepted
    assess(ledger, release, "bob@shop.example")
    with pytest.raises(Refused, match="0 valid approvals, the plan asks for 1: it lacks 1 of managers"):
        go(ledger, release)


@pytest.mark.parametrize(
    "weaker",
    [
        {"own": {}, "rules": (MANAGERS,)},
        {"own": {}, "rules": (), "people": (ALICE, BOB, CAROL), "quorum": 1},
    ],
)
def test_the_guard_goes_by_the_stored_plan_not_by_how_the_gate_was_opened(
    ledger: Ledger, open_release: Open, clock: Clock, weaker: dict[str, Any]
) -> None:
    release = open_release(shape=shape(MANAGERS), started_by=STARTER, run_id=f"run-{ledger.last_event_id()}")
    build(ledger, release)
    ask(ledger, release, **weaker)
    assert say(ledger, release, "carol").accepted
    with pytest.raises(Refused, match="0 valid approvals, the plan asks for 1"):
        go(ledger, release)


def test_the_guard_asks_for_comment_fields_and_the_right_people(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    for who, said in (("dave", {}), ("dave", {"comment": "x"}), ("bob", {"comment": "x"})):
        release = open_release(shape=shape(BOARD), started_by=STARTER, run_id=f"run-{ledger.last_event_id()}")
        build(ledger, release)
        ask(ledger, release, rules=(), own={})
        assert say(ledger, release, who, **said).accepted
        with pytest.raises(Refused, match="it lacks 1 of board"):
            go(ledger, release)


def test_one_person_meets_one_rule_at_the_guard_too(ledger: Ledger, open_release: Open, clock: Clock) -> None:
    second = MANAGERS.model_copy(update={"id": "again"})
    release = open_release(
        shape=shape(MANAGERS, second), started_by=STARTER, run_id=f"run-{ledger.last_event_id()}"
    )
    build(ledger, release)
    ask(ledger, release, rules=(), own={}, quorum=1)
    assert say(ledger, release, "alice").accepted
    with pytest.raises(Refused, match="1 valid approvals, the plan asks for 2"):
        go(ledger, release)


def test_a_gate_that_nobody_is_left_for_says_so_at_once(ledger: Ledger, open_release: Open) -> None:
    release = asked(
        ledger, open_release, MANAGERS.model_copy(update={"people": ("alice", "carol"), "quorum": 2})
    )
    gate = ledger.votes.gate(release.release_id, GATE)
    assert gate is not None
    assert gate.state == "open"
    assert gate.impossible == (
        "can't be met: 1 of managers that nobody is left to give, since Carol started it, and nobody "
        "approves their own release; somebody else must start it"
    )
    (waiting,) = ledger.status(release.release_id).waiting_for
    assert waiting.impossible == gate.impossible
    assert [p.id for p in waiting.awaited] == ["alice"]


def test_rules_that_could_never_be_met_are_not_opened(ledger: Ledger, open_release: Open) -> None:
    release = open_release(shape=shape(MANAGERS), started_by=STARTER, run_id=f"run-{ledger.last_event_id()}")
    alone = [MANAGERS.model_copy(update={"id": n, "people": ("alice",)}) for n in ("one", "two")]
    with pytest.raises(LedgerError, match="can't be reached"):
        ask(ledger, release, rules=alone, quorum=2)
    with pytest.raises(LedgerError, match="can't be reached by 0 people"):
        ask(ledger, release, rules=(), people=(), quorum=1)


class TestWithdrawing:
    def withdraw(self, ledger: Ledger, release: ReleaseRecord, who: str = "alice", **more: Any) -> VoteResult:
        return ledger.votes.withdraw(release.release_id, GATE, airflow_user=f"a.{who}", via="cli", **more)

    def test_a_vote_is_taken_back_and_cast_again(
        self, ledger: Ledger, open_release: Open, clock: Clock
    ) -> None:
        release = asked(ledger, open_release, MANAGERS.model_copy(update={"quorum": 2}))
        for n in (1, 2):
            assert say(ledger, release, "alice", comment=f"yes {n}").accepted
            result = self.withdraw(ledger, release, comment="wait")
            assert result.gate is not None
            assert (result.accepted, result.gate.missing, result.gate.votes) == (True, 2, ())
            assert result.reason.startswith("withdrawn; 2 more of 2 approvals needed")
        say(ledger, release, "alice", comment="yes 3")
        assert say(ledger, release, "bob").accepted
        go(ledger, release)
        gate = ledger.votes.gate(release.release_id, GATE)
        assert gate is not None
        assert [(v.person, v.comment) for v in gate.votes] == [("alice", "yes 3"), ("bob", "")]
        told = ledger.events(release.release_id, kinds=[Kind.GATE_VOTE_WITHDRAWN])
        assert [(e.data["n"], e.data["decision"], e.data["comment"]) for e in told] == [
            (1, "approve", "wait"),
            (2, "approve", "wait"),
        ]
        assert all(check.problems == () for check in ledger.verify() if check.check == "votes")

    def test_what_cant_be_taken_back(self, ledger: Ledger, open_release: Open) -> None:
        release = asked(ledger, open_release, MANAGERS)
        assert self.withdraw(ledger, release).code == "not_voted"
        assert self.withdraw(ledger, release, "mallory").code == "not_entitled"
        say(ledger, release, "alice")
        assert self.withdraw(ledger, release).code == "decided"
        assert ledger.votes.withdraw("ghost", GATE, airflow_user="a.alice", via="cli").code == "unknown_gate"


def test_a_withdrawn_approval_opens_nothing(ledger: Ledger, open_release: Open) -> None:
    release = asked(ledger, open_release, MANAGERS.model_copy(update={"quorum": 2}))
    say(ledger, release, "alice")
    ledger.votes.withdraw(release.release_id, GATE, airflow_user="a.alice", via="cli")
    said = say(ledger, release, "bob")
    assert said.gate is not None
    assert (said.gate.state, said.gate.missing) == ("open", 1)
    assert [p.id for p in said.gate.awaited] == ["alice"]
