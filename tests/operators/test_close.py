"""The end of a release."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins.domain.event import Kind
from relman_plugins.errors import PlatformUnavailable
from tests.steps.world import Release, TaskInstance, World

FIRST, GATE = "production.canary_50", "production.approval"


@pytest.fixture
def release(world: World) -> Release:
    world.live("1.0.0")
    found = world.open().approved()
    found.run(FIRST)
    return found


def test_a_run_that_somebody_marked_does_not_leave_its_candidate_behind(release: Release) -> None:
    with pytest.raises(AirflowFailException, match=r"taken back to 1\.0\.0"):
        release.run("close")
    assert release.world.weights() == {"1.0.0": 100}
    assert release.world.ledger.locks.held() == []


def test_a_release_is_not_closed_while_its_candidate_cannot_be_taken_back(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_RELMAN_SANDBOX", "relman-sandbox://127.0.0.1:1")
        with pytest.raises(PlatformUnavailable):
            release.run("close")
    assert not release.events(Kind.RELEASE_CLOSED)
    assert release.world.ledger.locks.held()
    with pytest.raises(AirflowFailException):
        release.run("close", try_number=2)
    assert release.world.weights() == {"1.0.0": 100}


def test_a_retry_of_a_close_that_was_killed_gives_the_locks_back(release: Release) -> None:
    release.says(Kind.RELEASE_CLOSED, "close", outcome="failed", reason="because")
    with pytest.raises(AirflowFailException, match="because"):
        release.run("close", try_number=2)
    assert release.world.ledger.locks.held() == []
    assert len(release.events(Kind.RELEASE_CLOSED)) == 1


def test_a_gate_that_was_marked_with_all_that_comes_after_it_is_told_of(world: World) -> None:
    release = world.open().at_the_gate()
    world.states |= dict.fromkeys(("staging.deploy", GATE, FIRST), "success")
    for try_number in (1, 2):
        with pytest.raises(AirflowFailException, match=f"failed: {GATE} has no recorded end"):
            release.run("close", try_number=try_number)
    assert [e.data["gate"] for e in release.events(Kind.GATE_BYPASSED)] == [GATE]


def test_a_gate_that_a_step_was_refused_at_is_told_of_once(world: World) -> None:
    release = world.open().at_the_gate()
    world.states[GATE] = "success"
    for step in (FIRST, "close"):
        with pytest.raises(AirflowFailException, match=f"gate {GATE} was passed in Airflow"):
            release.run(step)
    assert len(release.events(Kind.GATE_BYPASSED)) == 1


def test_an_airflow_that_does_not_answer_holds_up_no_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Airflow's API server is away")

    monkeypatch.setattr(TaskInstance, "get_task_states", away)
    release = world.open().at_the_gate()
    with pytest.raises(AirflowFailException, match=f"{GATE} has no recorded end"):
        release.run("close")
