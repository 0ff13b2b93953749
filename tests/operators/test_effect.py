"""An approval that takes effect later: the gate waits, and so does whoever goes past it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision
from relman_plugins.triggers.analysis import AnalysisTrigger
from relman_plugins.triggers.waits import SoakTrigger
from tests.operators.test_window import told
from tests.steps.world import Release, World

GATE, FIRST = "production.approval", "production.canary_50"


@pytest.fixture
def release(world: World, comms: list[Any]) -> Release:
    """A release that is approved for in three hours."""
    world.live("1.0.0")
    return world.open().at_the_gate()


def approved(release: Release) -> TaskDeferred:
    waiting = release.run(GATE)
    said = release.world.ledger.votes.cast(
        release.id,
        GATE,
        airflow_user="alice",
        decision=Decision.APPROVE,
        not_before=datetime.now(UTC) + timedelta(hours=3),
        via="cli",
    )
    assert said.accepted, said.reason
    return waits(release.resume(GATE, waiting, {"state": "approved"}))


def waits(result: Any) -> TaskDeferred:
    assert isinstance(result, TaskDeferred)
    assert isinstance(result.trigger, SoakTrigger)
    return result


def in_hours(hours: float) -> Any:
    return time_machine.travel(datetime.now(UTC) + timedelta(hours=hours))


def test_the_gate_waits_until_then_and_goes_on(release: Release) -> None:
    waiting = approved(release)
    assert release.world.ledger.status(release.id).takes_effect is not None
    with in_hours(3.01):
        event = told(waiting)
        assert event == {"state": "over"}
        assert release.resume(GATE, waiting, event)["message"] == "approved by Alice"
        assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


def test_a_step_that_goes_past_the_waiting_gate_waits_too(release: Release) -> None:
    """The gate's task was marked green in Airflow: approved it is, but for later."""
    approved(release)
    waiting = waits(release.run(FIRST))
    assert release.world.weights() == {"1.0.0": 100}
    assert not release.world.ledger.locks.held(release.id)
    with in_hours(3.01):
        assert isinstance(release.resume(FIRST, waiting, told(waiting)).trigger, AnalysisTrigger)
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}


def test_an_abort_ends_the_wait(release: Release) -> None:
    waiting = approved(release)
    release.person(Kind.ABORT_REQUESTED)
    event = told(waiting)
    assert event == {"state": "aborted"}
    with pytest.raises(AirflowFailException, match="asked to abort"):
        release.resume(GATE, waiting, event)
