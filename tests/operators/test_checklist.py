"""A suite that people go through by hand: asked, refused, green, red, too late, bypassed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.severity import Severity
from relman_plugins.domain.status import Decision, Outcome
from relman_plugins.ledger.api import VoteResult
from relman_plugins.steps.outcome import outcome_of
from relman_plugins.steps.subjects import subject_of
from relman_plugins.triggers.approval import ApprovalTrigger
from tests.steps import world as worlds
from tests.steps.world import Release, World, grades

LIST = "staging.two"
WRITTEN = """
  two:
    checklist:
      - The *cart* shows the discount
      - {item: A card can be paid with, id: pay}
    group: managers
    timeout: 30m
    on_timeout: expire
"""


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = worlds.SPECS["checkout.yaml"]
    command = "\n  two: {command: [python, two.py], junit: two.xml}\n"
    assert command in text
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text.replace(command, WRITTEN))


@pytest.fixture
def release(world: World) -> Release:
    world.live("1.1.0", "staging")
    return world.open(changes="Cheaper mugs").finished("open", "build", "staging.deploy")


def vote(release: Release, decision: Decision, user: str = "bob", **answers: Any) -> VoteResult:
    return release.world.ledger.votes.cast(
        release.id,
        LIST,
        airflow_user=user,
        decision=decision,
        answers={name.replace("_", "-"): answer for name, answer in answers.items()},
        comment="on a phone",
        via="api",
    )


def resumed(release: Release, waiting: TaskDeferred) -> Any:
    return release.resume(LIST, waiting, {"state": "whatever the trigger says"})


def finished(release: Release) -> dict[str, Any]:
    (event,) = [e for e in release.events(Kind.SUITE_FINISHED) if e.step == LIST]
    return event.data


def test_people_are_shown_where_what_and_each_item(release: Release, comms: list[Any]) -> None:
    waiting = release.run(LIST)
    assert isinstance(waiting, TaskDeferred)
    assert isinstance(waiting.trigger, ApprovalTrigger)
    (asked,) = [m for m in comms if type(m).__name__ == "CreateHITLDetailPayload"]
    assert asked.subject == "checkout 1.1.0 in staging: two"
    assert f"<{release.world.seen('staging').url}>" in asked.body
    assert release.artifact.digest in asked.body
    assert "> Cheaper mugs" in asked.body
    assert r"1. The \*cart\* shows the discount (`item-1`)" in asked.body
    gate = release.world.ledger.votes.gate(release.id, LIST)
    assert gate is not None
    left = f"{gate.expires_at:%Y-%m-%d %H:%M} UTC, 30m after this was asked"
    assert f"**Until when:** {left}; without an answer by then: {gate.on_timeout}. " in asked.body
    assert list(asked.params) == ["item-1", "pay", "comment"]
    assert asked.params["pay"]["schema"]["enum"] == ["not tested", "passed", "failed"]
    assert asked.params["pay"]["schema"]["title"] == "2. A card can be paid with"


def test_an_approval_with_every_item_passed_is_a_green_suite(release: Release) -> None:
    waiting = release.run(LIST)
    assert vote(release, Decision.APPROVE, item_1="passed", pay="passed").accepted
    assert resumed(release, waiting)["message"] == "suite two: 2 of 2 items passed, says Bob: on a phone"
    found = finished(release)
    counts = [found[k] for k in ("tests", "failures", "errors", "skipped")]
    assert (found["passed"], counts) == (True, [2, 0, 0, 0])
    release.finished("staging.one")
    run = release.task("production.approval").start(release.context("production.approval"))
    assert subject_of(run)["tests"] == [
        {"step": LIST, "suite": "two", "tests": 2, "failures": 0, "skipped": 0}
    ]
    assert isinstance(release.run("production.approval"), TaskDeferred)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "not tested yet: The *cart* shows the discount (item-1), A card can be paid with (pay)"),
        ({"item_1": "passed"}, "not tested yet: A card can be paid with (pay)"),
        ({"item_1": "passed", "pay": "failed"}, "failed: A card can be paid with (pay); reject to record"),
        ({"item_1": "passed", "pay": "yes"}, "'yes' is no answer to pay"),
        ({"item_1": "passed", "pay": ["passed"]}, "is no answer to pay"),
        ({"item_1": "passed", "pay": "passed", "card": "passed"}, "there is no item 'card'"),
    ],
)
def test_an_approval_that_does_not_say_all_passed_is_refused_and_the_list_waits(
    release: Release, answers: dict[str, Any], said: str
) -> None:
    waiting = release.run(LIST)
    refused = vote(release, Decision.APPROVE, **answers)
    assert (refused.accepted, refused.code) == (False, "unfit_answers")
    assert said in refused.reason
    assert isinstance(resumed(release, waiting), TaskDeferred)
    assert vote(release, Decision.APPROVE, item_1="passed", pay="passed").accepted


def test_a_rejection_is_a_red_suite_that_names_what_failed(release: Release) -> None:
    waiting = release.run(LIST)
    assert vote(release, Decision.REJECT, pay="failed").accepted
    with pytest.raises(
        AirflowFailException,
        match=r"suite two: Bob found failed: A card can be paid with \(pay\): on a phone",
    ):
        resumed(release, waiting)
    found = finished(release)
    assert (found["passed"], found["failures"], found["skipped"]) == (False, 1, 1)
    assert found["failed"] == [{"name": "A card can be paid with", "message": "on a phone"}]
    assert outcome_of(release.world.shape, release.events())[0] is Outcome.FAILED


def test_a_no_needs_no_reason(release: Release) -> None:
    waiting = release.run(LIST)
    assert vote(release, Decision.REJECT).accepted
    with pytest.raises(AirflowFailException, match="rejected by Bob, no item named"):
        resumed(release, waiting)
    assert grades(release, LIST) == [Severity.WARNING]


def test_somebody_else_may_not_answer(release: Release) -> None:
    release.run(LIST)
    assert vote(release, Decision.APPROVE, "uma", item_1="passed", pay="passed").code == "not_entitled"


def test_nobodys_answer_in_time_never_passes(release: Release) -> None:
    waiting = release.run(LIST)
    later = datetime.now(UTC) + timedelta(minutes=31)
    release.world.ledger.votes.expire_gate(release.id, LIST, now=later)
    with pytest.raises(AirflowFailException, match="nobody answered in time"):
        resumed(release, waiting)
    assert finished(release)["passed"] is False
    assert outcome_of(release.world.shape, release.events())[0] is Outcome.EXPIRED


def test_marked_green_in_airflow_it_counts_for_nothing(release: Release) -> None:
    release.run(LIST)
    release.finished("staging.one")
    with pytest.raises(AirflowFailException, match=r"gate staging\.two was passed in Airflow"):
        release.run("production.approval")
    assert [e.data["gate"] for e in release.events(Kind.GATE_BYPASSED)] == [LIST]


def test_another_suites_end_does_not_make_people_answer_again(release: Release) -> None:
    release.run(LIST)
    release.says(Kind.SUITE_FINISHED, "staging.one", suite="one", tests=3, failures=0, errors=0, skipped=0)
    assert vote(release, Decision.APPROVE, item_1="passed", pay="passed").accepted
    assert "2 of 2 items passed" in release.run(LIST, try_number=2)["message"]


def test_an_answer_on_airflows_page_that_passed_by_the_middleware_counts(release: Release) -> None:
    waiting = release.run(LIST)
    event = {
        "chosen_options": ["Approve"],
        "params_input": {"item-1": "passed", "pay": "not tested", "comment": ""},
        "responded_by_user": {"id": "bob", "name": "Bob"},
    }
    again = release.resume(LIST, waiting, event)
    assert isinstance(again, TaskDeferred)
    assert "not tested yet" in release.events(Kind.STEP_REFUSED)[-1].data["message"]
    event["params_input"]["pay"] = "passed"
    assert "2 of 2 items passed" in release.resume(LIST, again, event)["message"]
