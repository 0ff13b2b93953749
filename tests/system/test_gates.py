"""What was approved is what ships: every way round a gate that Airflow 3.3.2 offers, tried on a real one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tests.system.conftest import Run, World
from tests.waiting import eventually

GATE, DEPLOY = "live.approval", "live.deploy"


@pytest.fixture(scope="module")
def reparse_s() -> int:
    return 2


@pytest.fixture
def run(world: World) -> Run:
    """A release that waits at its gate."""
    run = world.start("gated")
    run.asked(GATE)
    return run


def freeze(world: World, what: str = "") -> None:
    """Stop the line for one pipeline, or let it go on (``/thaw``)."""
    body = {"environment": "live", "pipeline": "brief", "reason": "lunch"}
    status, said = world.call("admin", "POST", f"/relman/api/v1/freezes{what}", **body)
    assert status in (200, 201), said


@pytest.fixture(scope="module", autouse=True)
def approved_early(world: World) -> Iterator[Future[Run]]:
    """A release that is approved and kept from changes, whose approval runs out beside the other tests."""

    def approve() -> Run:
        freeze(world)
        run = world.start("brief")
        run.asked(GATE)
        assert run.answer("alice", GATE, "Approve")[0] == 200
        return run

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(approve)


def clear(run: Run, task: str) -> None:
    """Clear a task and what comes after it, as Airflow's page does."""
    body = {"dry_run": False, "task_ids": [task], "dag_run_id": run.run_id, "include_downstream": True}
    path = f"/api/v2/dags/{run.dag_id}/clearTaskInstances"
    status, said = run.world.call("bob", "POST", path, **body, only_failed=False)
    assert status == 200, said
    assert task in [t["task_id"] for t in said["task_instances"]]


def nothing_shipped(run: Run) -> None:
    assert "change.started" not in run.kinds()
    assert run.state() == "failed"


def ended_as_failed(run: Run) -> None:
    assert run.outcome() == "failed"
    nothing_shipped(run)


def mark(run: Run, state: str) -> int:
    path = f"{run.path}/taskInstances/{GATE}"
    return run.world.call("bob", "PATCH", path, new_state=state)[0]


def test_a_gate_marked_success_opens_nothing_and_is_told(run: Run) -> None:
    run.parked(GATE)
    assert mark(run, "success") == 200
    ended_as_failed(run)
    assert run.until("gate.bypassed").data["gate"] == GATE


def test_a_gate_marked_success_in_bulk_with_a_forged_xcom_opens_nothing(run: Run) -> None:
    run.parked(GATE)
    entry = {"key": "return_value", "value": {"chosen_options": ["Approve"]}, "map_index": -1}
    status, said = run.world.call("bob", "POST", f"{run.path}/taskInstances/{GATE}/xcomEntries", **entry)
    assert status == 201, said
    entities = [
        {
            "task_id": GATE,
            "dag_id": run.dag_id,
            "dag_run_id": run.run_id,
            "map_index": -1,
            "new_state": "success",
        }
    ]
    action = {"action": "update", "entities": entities, "action_on_non_existence": "fail"}
    status, said = run.world.call("bob", "PATCH", f"{run.path}/taskInstances", actions=[action])
    assert status == 200, said
    ended_as_failed(run)


def test_a_run_marked_success_ships_nothing_and_is_not_a_success(run: Run) -> None:
    run.parked(GATE)
    status, said = run.world.call("bob", "PATCH", run.path, state="success")
    assert status == 200, said
    assert run.outcome() == "failed"
    assert "change.started" not in run.kinds()


def test_an_answer_of_somebody_who_may_not_is_refused_and_the_gate_goes_on(run: Run) -> None:
    for user in ("admin", "vera"):
        assert run.answer(user, GATE, "Approve")[0] == 403
    assert "gate.voted" not in run.kinds()
    status, said = run.answer("alice", GATE, "Approve")
    assert status == 200, said
    assert run.outcome() == "succeeded"
    assert run.world.seen("live", "gated").stable is not None


def test_approve_and_reject_in_the_same_instant_give_one_decision_that_both_are_told(run: Run) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = [
            pool.submit(run.answer, user, GATE, option)
            for user, option in (("alice", "Approve"), ("bob", "Reject"))
        ]
    statuses = sorted(a.result()[0] for a in answers)
    assert statuses == [200, 409]
    decided = run.until("gate.decided").data["state"]
    assert run.outcome() == {"approved": "succeeded", "rejected": "rejected"}[decided]


def test_a_rejection_ends_the_release_and_nothing_ships(run: Run) -> None:
    status, said = run.world.call(
        "alice",
        "POST",
        f"/relman/api/v1/releases/{run.release_id}/gates/{GATE}/votes",
        decision="reject",
        comment="no",
    )
    assert status == 201, said
    assert run.outcome() == "rejected"
    nothing_shipped(run)


def test_an_edited_spec_stops_the_step_after_the_gate(run: Run) -> None:
    spec = run.world.specs / "gated.yaml"
    before = spec.read_text()
    try:
        spec.write_text(before.replace("timeout: 1h", "timeout: 2h"))
        assert run.answer("alice", GATE, "Approve")[0] == 200
        ended_as_failed(run)
        assert "changed under the release" in run.events("release.closed")[0].data["reason"]
    finally:
        spec.write_text(before)


def test_clearing_the_deploy_of_a_closed_release_deploys_nothing(run: Run) -> None:
    run.answer("alice", GATE, "Approve")
    assert run.outcome() == "succeeded"
    assert run.state() == "success"
    changes = run.kinds().count("change.started")
    clear(run, DEPLOY)
    run.state()
    assert run.kinds().count("change.started") == changes


def test_clearing_the_gate_asks_anew_when_its_approval_has_run_out(
    world: World, approved_early: Future[Run]
) -> None:
    """A new round by one click, as Airflow's page does it: the gate and what comes after it."""
    run = approved_early.result()
    run.until("freeze.waited", DEPLOY)
    over = world.ledger.votes.gate(run.release_id, GATE).valid_until
    eventually(lambda: datetime.now(UTC) > over, "the end of the approval")
    clear(run, GATE)
    eventually(lambda: len(run.events("gate.opened")) == 2, "the second round")
    gate = world.ledger.votes.gate(run.release_id, GATE)
    assert (gate.round, gate.renews, gate.asker, gate.state, gate.votes) == (2, 1, GATE, "open", ())
    assert "change.started" not in run.kinds()
    run.parked(GATE)
    assert run.answer("bob", GATE, "Approve")[0] == 200
    freeze(world, "/thaw")
    assert run.outcome() == "succeeded"
    voted = [(e.data["round"], e.actor.id) for e in run.events("gate.voted")]
    assert voted == [(1, "alice"), (2, "bob")]
    assert not {"gate.bypassed", "step.refused"} & set(run.kinds())
