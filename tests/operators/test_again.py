"""A new approval round is one click: the gate's task is cleared."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.steps.subjects import shown_in
from relman_plugins.triggers.analysis import AnalysisTrigger
from tests.steps.world import Release, World

GATE, FIRST = "production.approval", "production.canary_50"


@pytest.fixture
def release(world: World, comms: list[Any]) -> Release:
    world.live("1.0.0")
    return world.open().past_the_gate()


def another_result(release: Release) -> None:
    """Let a suite before the gate have another result than what was shown."""
    suite = {"suite": "one", "tests": 3, "failures": 1, "errors": 0, "skipped": 0, "passed": False}
    release.says(Kind.SUITE_FINISHED, "staging.one", **suite)


def rounds(release: Release) -> list[int]:
    return [e.data["round"] for e in release.events(Kind.GATE_OPENED)]


def test_what_differs_is_refused_with_a_message_and_an_event(release: Release) -> None:
    another_result(release)
    with pytest.raises(AirflowFailException, match=r"other results of tests \(staging\.one\)"):
        release.run(FIRST)
    (refused,) = release.events(Kind.STEP_REFUSED)
    assert "staging.one" in refused.data["message"]
    assert release.world.weights() == {"1.0.0": 100}


def test_a_cleared_gate_asks_again_for_what_would_ship_now(release: Release) -> None:
    another_result(release)
    waiting = release.run(GATE, try_number=2)
    assert isinstance(waiting, TaskDeferred)
    with pytest.raises(AirflowFailException, match="is open, not approved"):
        release.run(FIRST)
    release.vote(GATE)
    assert release.resume(GATE, waiting, {"state": "approved"}, 2)["message"] == "approved by Alice"
    assert isinstance(release.run(FIRST, try_number=2).trigger, AnalysisTrigger)
    assert rounds(release) == [1, 2]


def test_an_answer_that_airflow_took_itself_is_one_to_the_text_that_it_shows(
    world: World, comms: list[Any]
) -> None:
    release = world.open().at_the_gate()
    release.run(GATE)
    (first,) = [e.data["subject_digest"] for e in release.events(Kind.GATE_OPENED)]
    assert [shown_in(m.body) for m in comms if getattr(m, "body", None)] == [first]
    another_result(release)
    waiting = release.run(GATE, try_number=2)
    assert rounds(release) == [1, 2]
    event = {"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": {"id": "alice"}}
    assert isinstance(release.resume(GATE, waiting, event, 2), TaskDeferred)
    assert release.events(Kind.GATE_VOTED) == []
    assert "look again" in release.events(Kind.STEP_REFUSED)[-1].data["message"]
    with pytest.raises(AirflowFailException, match="rejected by alice"):
        release.resume(GATE, waiting, event | {"chosen_options": ["Reject"]}, 2)


def test_a_cleared_gate_whose_approval_still_holds_asks_nobody(release: Release) -> None:
    assert release.run(GATE, try_number=2) is None
    assert rounds(release) == [1]


def test_a_no_stays_a_no_however_often_the_gate_is_cleared(world: World, comms: list[Any]) -> None:
    release = world.open(run_id="run-2").at_the_gate()
    waiting = release.run(GATE)
    release.vote(GATE, Decision.REJECT)
    for attempt in (1, 2):
        with pytest.raises(AirflowFailException, match="rejected by alice"):
            release.resume(GATE, waiting, {"state": "rejected"}, attempt)
    another_result(release)
    with pytest.raises(AirflowFailException, match="rejected by alice"):
        release.run(GATE, try_number=3)
    assert rounds(release) == [1]
