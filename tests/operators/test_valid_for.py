"""An approval that has run out: the release holds where it is, and asks again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.plugin.answers import is_gate
from relman_plugins.plugin.native import Target
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.triggers.analysis import AnalysisTrigger
from relman_plugins.triggers.approval import ApprovalTrigger
from tests.operators.test_changing import judged
from tests.steps import world as worlds
from tests.steps.world import Release, Shows, World

GATE = "production.approval"
FIRST, LAST, MONITOR, ROLLBACK = (
    f"production.{name}" for name in ("canary_50", "canary_100", "monitor", "rollback")
)


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = worlds.SPECS["checkout.yaml"]
    monkeypatch.setitem(
        worlds.SPECS, "checkout.yaml", spec.replace("timeout: 30m,", "timeout: 30m, valid_for: 2h,")
    )


@pytest.fixture
def release(world: World, comms: list[Any]) -> Release:
    """A release whose approval was given now."""
    world.live("1.0.0")
    return world.open().past_the_gate()


def after(hours: float) -> Any:
    return time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True)


def asks(result: Any) -> TaskDeferred:
    assert isinstance(result, TaskDeferred)
    assert isinstance(result.trigger, ApprovalTrigger)
    assert (result.trigger.gate, result.method_name) == (GATE, "renewed")
    return result


def again(release: Release, step: str, waiting: TaskDeferred) -> Any:
    release.vote(GATE)
    return release.resume(step, waiting, {"state": "approved"})


def test_an_approval_that_holds_lets_the_change_begin(release: Release) -> None:
    with after(1.9):
        assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


def test_one_that_has_run_out_before_the_first_change_is_asked_for_again(
    release: Release, comms: list[Any]
) -> None:
    with after(2.1):
        waiting = asks(release.run(FIRST))
        assert release.world.weights() == {"1.0.0": 100}
        gate = release.world.ledger.votes.gate(release.id, GATE)
        assert gate is not None
        assert (gate.round, gate.renews, gate.state, gate.asker) == (2, 1, "open", FIRST)
        assert gate.expires_at - gate.opened_at == timedelta(minutes=30)
        question = comms[-1]
        assert "still approved?" in question.subject
        assert "Asked again." in question.body
        assert [u.id for u in question.assigned_users] == ["alice", "bob"]
        assert isinstance(again(release, FIRST, waiting).trigger, AnalysisTrigger)
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}
    assert not release.events(Kind.STEP_REFUSED, Kind.STEP_FAILED, Kind.GATE_BYPASSED)


def test_between_two_weights_the_traffic_stays_where_it_is(release: Release) -> None:
    release.run(FIRST)
    judged(release, FIRST, "pass")
    with after(3):
        # The step that has moved its traffic ends: it raises nothing any more.
        waiting = release.run(FIRST, try_number=2)
        assert waiting["message"].startswith("good at 50 %")
        waiting = asks(release.run(LAST))
        assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}
        # However long nobody answers, nothing goes back for that.
        gate = release.world.ledger.votes.gate(release.id, GATE)
        assert gate is not None
        assert gate.expires_at - gate.opened_at == timedelta(days=366)
        assert not release.events(Kind.TRAFFIC_WITHDRAWN, Kind.ROLLBACK_FINISHED)
        # A task that Airflow lost asks nobody a second time.
        waiting = asks(release.run(LAST, try_number=2))
        assert len([e for e in release.events(Kind.GATE_OPENED) if e.step == GATE]) == 2
        assert isinstance(again(release, LAST, waiting).trigger, AnalysisTrigger)
    assert release.world.weights() == {"1.0.0": 0, "1.1.0": 100}


def test_what_needs_no_more_traffic_needs_no_new_approval(release: Release) -> None:
    for step in (FIRST, LAST):
        release.run(step)
        judged(release, step, "pass")
        release.run(step, try_number=2)
    with after(3):
        release.run(MONITOR)
        judged(release, MONITOR, "pass")
        release.run(MONITOR, try_number=2)
    assert release.world.weights() == {"1.1.0": 100}


def test_a_no_to_the_question_ends_the_release_and_it_goes_back(release: Release) -> None:
    release.run(FIRST)
    judged(release, FIRST, "pass")
    release.run(FIRST, try_number=2)
    with after(3):
        waiting = asks(release.run(LAST))
        release.vote(GATE, Decision.REJECT)
        with pytest.raises(AirflowFailException, match="rejected by alice"):
            release.resume(LAST, waiting, {"state": "rejected"})
        release.run(ROLLBACK)
    assert release.world.weights() == {"1.0.0": 100}


def test_a_rollback_asks_nobody(release: Release) -> None:
    release.run(FIRST)
    with after(3):
        release.run(ROLLBACK)
    assert release.world.weights() == {"1.0.0": 100}


def test_an_abort_ends_the_question(release: Release) -> None:
    with after(3):
        waiting = asks(release.run(FIRST))
        release.person(Kind.ABORT_REQUESTED)
        with pytest.raises(AirflowFailException, match="aborted by Bob"):
            release.resume(FIRST, waiting, {"state": "aborted"})


def test_the_answer_on_airflows_page_counts_at_the_gate(release: Release) -> None:
    with after(3):
        waiting = asks(release.run(FIRST))
        assert is_gate(Target(release.record.dag_id, release.record.run_id, FIRST))
        event = {
            "chosen_options": ["Approve"],
            "params_input": {},
            "responded_by_user": {"id": "bob", "name": "Bob"},
        }
        assert isinstance(release.resume(FIRST, waiting, event).trigger, AnalysisTrigger)
    voted = [e.actor.id for e in release.events(Kind.GATE_VOTED)]
    assert voted == ["alice", "bob"]


def test_a_gate_that_is_asked_again_was_not_passed_by(release: Release) -> None:
    with after(3):
        asks(release.run(FIRST))
        assert Housekeeper(release.world.ledger, Shows(GATE)).find_bypasses() == []
