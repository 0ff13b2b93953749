"""What every step does around its own work."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.domain.severity import Severity
from relman_plugins.errors import LedgerUnavailable, PlatformUnavailable
from relman_plugins.factory.builder import build_dag
from relman_plugins.steps.base import ReleaseStepOperator
from relman_plugins.triggers.approval import ApprovalTrigger
from relman_plugins.triggers.waits import HoldTrigger
from tests.steps.world import World, grades


def test_a_dry_run_passes_every_step_and_changes_nothing(world: World) -> None:
    world.live("1.0.0")
    release = world.open(dry_run=True)
    for step in world.shape.steps:
        if step.kind != "rollback":
            release.run(step.id)
    assert release.events(Kind.RELEASE_CLOSED)[0].data["outcome"] == "succeeded"
    assert not {Kind.CHANGE_STARTED, Kind.GATE_OPENED, Kind.ARTIFACT_BUILT, Kind.LOCK_ACQUIRED} & set(
        release.kinds()
    )
    assert world.weights() == {"1.0.0": 100}


def test_a_hold_that_comes_between_the_look_and_the_check_holds(world: World) -> None:
    release = world.open().approved()
    task = release.task("production.canary_50")
    looked = task._wait_if_held

    def held_just_after(run):
        looked(run)
        release.person(Kind.RELEASE_HELD)

    task._wait_if_held = held_just_after
    try:
        waiting = release.run("production.canary_50")
    finally:
        del task.__dict__["_wait_if_held"]
    assert isinstance(waiting, TaskDeferred)
    assert isinstance(waiting.trigger, HoldTrigger)
    assert Kind.STEP_REFUSED not in release.kinds()


def test_two_suites_that_end_at_once_give_the_lock_back(world: World) -> None:
    release = world.open().finished("open", "build", "staging.deploy")
    assert world.ledger.locks.acquire("staging", "checkout", release.id, 60)
    first, second = (release.task(f"staging.{name}") for name in ("one", "two"))
    runs = [task.start(release.context(task.task_id)) for task in (first, second)]
    first.finish(runs[0], "green")
    assert world.ledger.locks.held(release.id)
    second.finish(runs[1], "green")
    assert world.ledger.locks.held(release.id) == []


def test_a_lock_that_a_killed_worker_kept_is_given_back_by_its_retry(world: World) -> None:
    release = world.open().finished("open", "build", "staging.deploy", "staging.one", "staging.two")
    assert world.ledger.locks.acquire("staging", "checkout", release.id, 60)
    release.run("staging.two", try_number=2)
    assert world.ledger.locks.held(release.id) == []


def test_a_step_whose_end_can_not_be_recorded_has_not_ended(world: World) -> None:
    """What goes forward believes the record alone, so it keeps nothing for later."""
    release = world.open().finished("open", "build", "staging.deploy")
    task = release.task("staging.one")
    run = task.start(release.context("staging.one"))
    with world.without_ledger(), pytest.raises(LedgerUnavailable):
        task.finish(run, "green")
    assert not list(settings.spool_folder().glob("*"))
    assert Kind.STEP_FINISHED not in release.kinds("staging.one")


def test_a_gate_of_a_closed_release_ends_and_does_not_wait_again(world: World) -> None:
    release = world.open().at_the_gate()
    waiting = release.run("production.approval")
    assert isinstance(waiting.trigger, ApprovalTrigger)
    release.says(Kind.RELEASE_CLOSED, outcome="aborted", reason="its run was deleted")
    with pytest.raises(AirflowFailException, match="closed"):
        release.resume("production.approval", waiting, {"state": "aborted"})


def test_what_an_abort_ends_calls_nobody(world: World) -> None:
    release = world.open().at_the_gate()
    waiting = release.run("production.approval")
    release.person(Kind.ABORT_REQUESTED)
    with pytest.raises(AirflowFailException, match="aborted by Bob"):
        release.resume("production.approval", waiting, {"state": "aborted"})
    with pytest.raises(AirflowFailException, match="asked to abort"):
        release.run("production.approval", try_number=2)
    release.finished("production.approval")
    with pytest.raises(AirflowFailException, match="asked to abort"):
        release.run("production.canary_50")
    assert [*grades(release, "production.approval"), *grades(release, "production.canary_50")] == [
        Severity.WARNING
    ] * 3


def test_an_approved_gate_counts_when_somebody_marked_its_task_green(world: World) -> None:
    world.live("1.0.0")
    release = world.open().decided()
    assert isinstance(release.run("production.canary_50"), TaskDeferred)
    assert Kind.GATE_BYPASSED not in release.kinds()


def test_a_gate_marked_green_that_nobody_approved_is_told_and_stops_the_release(world: World) -> None:
    world.live("1.0.0")
    release = world.open()
    with pytest.raises(AirflowFailException, match="without a decision"):
        release.run("production.canary_50")
    assert Kind.GATE_BYPASSED in release.kinds()


def test_what_a_driver_says_stays_in_the_log(world: World) -> None:
    release = world.open().finished("open", "build", "staging.deploy")
    task = release.task("staging.one")

    def broken(*_: Any) -> str:
        raise RuntimeError("cannot connect to postgresql://user:hunter2@db")

    object.__setattr__(task, "act", broken)
    with pytest.raises(RuntimeError):
        task.execute(release.context("staging.one"))
    [failed] = release.events(Kind.STEP_FAILED)
    assert failed.data["message"] == "RuntimeError; the log says more"


def test_a_connection_that_cannot_be_read_is_named_and_not_quoted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = world.open().finished("open", "build")
    monkeypatch.setenv("AIRFLOW_CONN_RELMAN_SANDBOX", '{"password": "hunter2"')
    with pytest.raises(PlatformUnavailable, match="cannot read connection 'relman_sandbox'"):
        release.run("staging.deploy")
    [failed] = release.events(Kind.STEP_FAILED)
    assert "relman_sandbox" in failed.data["message"]
    assert "hunter2" not in failed.data["message"]


def test_what_airflow_converts_is_converted(world: World) -> None:
    [task, *_] = build_dag(world.shape, {}).tasks
    task.retries, task.retry_delay, task.max_retry_delay = "3", 90, 300.0
    assert (task.retries, task.retry_delay) == (3, timedelta(seconds=90))
    assert deepcopy(task).max_retry_delay == timedelta(seconds=300)
    with pytest.raises(ValueError, match="can not be changed"):
        task.dag = DAG("another", schedule=None)
    with pytest.raises(ValueError, match="already a setup"):
        task.is_teardown = True


def test_attributes_are_set_as_airflow_sets_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def built() -> tuple[DAG, dict[str, dict[str, Any]]]:
        dag = build_dag(world.shape, {})
        state = {t.task_id: {k: v for k, v in vars(t).items() if k not in _OF_THE_DAG} for t in dag.tasks}
        return dag, state

    ours, mine = built()
    monkeypatch.delattr(ReleaseStepOperator, "__setattr__")
    for name in [n for n, v in vars(ReleaseStepOperator).items() if type(v).__name__ == "_Converted"]:
        monkeypatch.delattr(ReleaseStepOperator, name)
    theirs, expected = built()
    assert mine == expected
    assert DagSerialization.to_dict(ours) == DagSerialization.to_dict(theirs)


_OF_THE_DAG = ("_dag", "task_group", "_BaseOperator__init_kwargs")
