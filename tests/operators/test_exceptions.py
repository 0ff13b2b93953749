"""A freeze that leaves room for exceptions: who lets a release past it, and that nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.ledger.api import GateState, VoteResult
from relman_plugins.ledger.votes import Votes
from relman_plugins.notifications.progress import stages
from relman_plugins.reports.facts import report_of
from relman_plugins.reports.markdown import markdown
from relman_plugins.triggers.analysis import AnalysisTrigger
from tests.operators.test_changing import FIRST, LAST, passed
from tests.operators.test_line import DANA, frozen, thaw
from tests.steps import world as worlds
from tests.steps.world import Release, World, told

GATE = "production.freeze_exception"
PEOPLE = """
apiVersion: relman/v1
kind: People
people:
  alice: {airflow: alice, name: Alice}
  bob: {airflow: bob, name: Bob}
  carol: {airflow: carol, name: Carol}
  erin: {airflow: erin, name: Erin}
groups: {managers: [alice, bob], incident: [bob, carol, erin]}
"""


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    name = "environments/production.yaml"
    more = getattr(request, "param", "exceptions: {approval: incident, quorum: 2, comment: required}\n")
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + more)
    monkeypatch.setitem(worlds.SPECS, "people.yaml", PEOPLE)


@pytest.fixture
def release(world: World) -> Release:
    """A release that carol started, approved as ever."""
    world.live("1.0.0")
    return world.open().approved()


def freeze(world: World, environment: str = "production", unless: Any = "approved", **more: Any) -> None:
    about: dict[str, Any] = {"pipeline": "", "reason": "incident 7", "until": None, "actor": DANA}
    world.ledger.freezes.freeze(environment=environment, unless=unless, **about | more)


def vote(
    release: Release,
    who: str,
    decision: Decision = Decision.APPROVE,
    comment: str = "fix",
    gate: str = GATE,
) -> VoteResult:
    return release.world.ledger.votes.cast(
        release.id, gate, airflow_user=who, decision=decision, comment=comment, via="cli"
    )


def answering(monkeypatch: pytest.MonkeyPatch, release: Release, gate: str) -> None:
    """Let the last answer come after the step has looked for it, and before it looks whom to ask."""
    real, looks = Votes.gate, []

    def late(self: Votes, release_id: str, name: str) -> GateState | None:
        looks.extend([name] * (name == gate))
        if len(looks) == 2:
            monkeypatch.setattr(Votes, "gate", real)
            assert vote(release, "erin", gate=gate).accepted
        return real(self, release_id, name)

    monkeypatch.setattr(Votes, "gate", late)


def goes(result: Any) -> bool:
    return isinstance(result.trigger, AnalysisTrigger)


def test_named_people_let_a_release_past_and_who_did_is_on_record(release: Release) -> None:
    freeze(release.world)
    waiting = frozen(release.run(FIRST))
    gate = release.world.ledger.votes.gate(release.id, GATE)
    assert gate is not None
    assert [p.id for p in gate.people] == ["bob", "carol", "erin"]
    assert "frozen, unless an exception is approved, by Dana: incident 7" in gate.subject["closed"][0]
    assert vote(release, "alice").code == "not_entitled"
    assert vote(release, "bob", comment="").code == "comment_required"
    assert vote(release, "bob").accepted
    frozen(release.resume(FIRST, waiting, {"state": "decided"}))  # one of two, and a forged event
    assert vote(release, "carol").code == "own_release"
    assert vote(release, "erin").accepted
    event = told(waiting)
    assert event == {"state": "decided"}
    assert goes(release.resume(FIRST, waiting, event))
    (past,) = release.events(Kind.FREEZE_PASSED)
    assert past.data["approved_by"] == ["bob", "erin"]
    assert past.data["message"].startswith(
        "goes past what is closed, as Bob, Erin approved: everything in production"
    )
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}
    passed(release, FIRST)
    assert goes(release.run(LAST)), "the exception is the release's, for all of the stage"


def test_a_freeze_that_comes_later_is_asked_about_anew(release: Release) -> None:
    freeze(release.world)
    waiting = frozen(release.run(FIRST))
    assert vote(release, "bob").accepted
    freeze(release.world, "")
    assert told(waiting) == {"state": "changed"}
    waiting = frozen(release.resume(FIRST, waiting, {"state": "changed"}))
    assert vote(release, "bob").gate.missing == 1  # type: ignore[union-attr]
    assert vote(release, "erin").accepted
    freeze(release.world, reason="another incident")
    frozen(release.resume(FIRST, waiting, told(waiting)))
    assert release.world.weights() == {"1.0.0": 100}


def test_when_one_of_two_freezes_is_lifted_the_votes_still_count(release: Release) -> None:
    freeze(release.world)
    freeze(release.world, "")
    waiting = frozen(release.run(FIRST))
    assert vote(release, "bob").accepted
    thaw(release.world)
    waiting = frozen(release.run(FIRST, try_number=2))
    assert vote(release, "erin").accepted
    assert goes(release.resume(FIRST, waiting, told(waiting)))


@pytest.mark.parametrize("stricter", ["", "production"])
def test_one_freeze_without_exceptions_holds_whatever_was_approved(release: Release, stricter: str) -> None:
    freeze(release.world, "" if stricter else "production")
    waiting = frozen(release.run(FIRST))
    assert vote(release, "bob").accepted
    assert vote(release, "erin").accepted
    freeze(release.world, stricter, unless="")
    waiting = frozen(release.resume(FIRST, waiting, told(waiting)))
    assert release.world.weights() == {"1.0.0": 100}
    thaw(release.world, stricter)
    event = told(waiting)
    assert event == {"state": "changed"}
    assert goes(release.resume(FIRST, waiting, event))


def test_a_no_stands_and_the_thaw_lets_the_release_go_on(release: Release) -> None:
    freeze(release.world)
    waiting = frozen(release.run(FIRST))
    assert vote(release, "bob", Decision.REJECT).accepted
    waiting = frozen(release.resume(FIRST, waiting, told(waiting)))
    assert vote(release, "erin").code == "decided"
    thaw(release.world, "production")
    assert told(waiting) == {"state": "thawed"}
    assert goes(release.resume(FIRST, waiting, {"state": "thawed"}))
    assert release.events(Kind.FREEZE_PASSED) == []


def test_the_thaw_ends_the_question_and_the_next_freeze_asks_again(release: Release) -> None:
    freeze(release.world)
    waiting = frozen(release.run(FIRST))
    thaw(release.world, "production")
    release.resume(FIRST, waiting, told(waiting))
    assert [w.gate for w in release.world.ledger.status(release.id).waiting_for] == []
    assert vote(release, "bob").code == "decided"
    passed(release, FIRST)
    freeze(release.world)
    waiting = frozen(release.run(LAST))
    assert vote(release, "bob").accepted
    assert vote(release, "erin").accepted
    assert goes(release.resume(LAST, waiting, told(waiting)))


def test_what_was_approved_is_what_goes_past(release: Release) -> None:
    freeze(release.world)
    waiting = frozen(release.run(FIRST))
    assert vote(release, "bob").accepted
    assert vote(release, "erin").accepted
    other = release.world.revisions["1.2.0"].model_copy(update={"version": "1.1.0"})
    release.says(Kind.ARTIFACT_BUILT, "build", revision=other.model_dump(mode="json"))
    frozen(release.resume(FIRST, waiting, told(waiting)))
    gate = release.world.ledger.votes.gate(release.id, GATE)
    assert gate is not None
    assert (gate.round, gate.state) == (2, "open")


@pytest.mark.parametrize("specs", [""], indirect=True)
def test_where_the_environment_names_nobody_only_the_thaw_helps(release: Release) -> None:
    freeze(release.world)
    frozen(release.run(FIRST))
    assert release.world.ledger.votes.gates(release.id)[-1].gate == "production.approval"


def test_the_ordinary_approval_is_needed_all_the_same(world: World) -> None:
    world.live("1.0.0")
    release = world.open().at_the_gate()
    freeze(world)
    waiting = frozen(release.run(FIRST))
    assert vote(release, "bob").accepted
    assert vote(release, "erin").accepted
    with pytest.raises(Exception, match=r"production\.approval was passed in Airflow without a decision"):
        release.resume(FIRST, waiting, told(waiting))


def test_votes_that_the_plan_does_not_ask_for_open_nothing(release: Release) -> None:
    """Whoever can write a gate into the record, but not change the stored plan."""
    freeze(release.world)
    frozen(release.run(FIRST))
    asked = release.world.ledger.votes.gate(release.id, GATE)
    assert asked is not None
    release.world.ledger.votes.open_gate(
        release.id,
        GATE,
        subject=asked.subject | {"again": True},
        people=release.record.plan.people("production.approval"),
        quorum=1,
        timeout_s=600,
        on_timeout="expire",
    )
    said = release.world.ledger.votes.cast(
        release.id, GATE, airflow_user="alice", decision=Decision.APPROVE, via="cli"
    )
    assert said.accepted
    assert said.gate is not None
    assert said.gate.state == "approved"
    frozen(release.run(FIRST, try_number=2))
    assert release.world.weights() == {"1.0.0": 100}


def test_labels_say_whose_changes_are_frozen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.live("1.0.0")
    world.shape = world.shape.model_copy(update={"labels": {"tier": "critical", "team": "shop"}})
    labelled = {"labels": {"tier": "low"}}
    freeze(world, "", "", **labelled)
    assert world.ledger.freezes.holding("checkout", "production", world.shape.labels) == []
    freeze(world, "", "", labels={"tier": "critical"})
    (held,) = world.ledger.freezes.holding("checkout", "production", world.shape.labels)
    assert str(held).startswith("every pipeline with tier=critical in every environment is frozen by Dana")
    assert world.ledger.freezes.holding("search", "production", {}) == []


def test_whoever_reads_of_it_is_told_what_was_gone_past_and_by_whom(release: Release) -> None:
    """Report, evidence and the stage list know a gate that is no step of the plan."""
    freeze(release.world)
    waiting = frozen(release.run(FIRST))
    (asked,) = release.world.ledger.status(release.id).waiting_for
    assert (asked.gate, asked.quorum) == (GATE, 2)
    assert vote(release, "bob").accepted
    assert vote(release, "erin").accepted
    release.resume(FIRST, waiting, told(waiting))
    events = release.events()
    report = markdown(report_of(release.record, events))
    assert GATE in report
    assert "goes past what is closed, as Bob, Erin approved" in report
    assert [stage.name for stage in stages(release.record.plan, events)] == ["build", "staging", "production"]


def test_an_answer_that_comes_while_the_step_looks_is_not_lost(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(release.world)
    frozen(release.run(FIRST))
    assert vote(release, "bob").accepted
    answering(monkeypatch, release, GATE)
    waiting = frozen(release.run(FIRST, try_number=2))
    assert told(waiting) == {"state": "decided"}
    assert goes(release.resume(FIRST, waiting, {"state": "decided"}))
