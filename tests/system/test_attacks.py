"""Ways round a gate beyond those of test_gates.py, each tried on a real Airflow by a user who may edit runs.

docs/explanation/ways-round-a-gate.md lists all of them. Bob attacks: his role may do everything with runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.system.conftest import Run, World
from tests.waiting import eventually

GATE, DEPLOY = "live.approval", "live.deploy"
API = "/relman/api/v1/releases"
PASSED = f"gate {GATE} was passed in Airflow without a decision in the ledger"


@pytest.fixture(scope="module")
def reparse_s() -> int:
    return 2


@pytest.fixture(scope="module")
def runs(world: World) -> Iterator[Run]:
    """Releases that wait at their gate: gates come before the lock, so they all wait at once.

    Of a version that no other pipeline here brings in: the platform must not have a genuine copy already.
    """
    started = [world.start("gated", "1.3.0") for _ in range(12)]
    return iter(started)


@pytest.fixture
def run(runs: Iterator[Run]) -> Run:
    found = next(runs)
    found.asked(GATE)
    found.parked(GATE)
    return found


def bob(run: Run, method: str, path: str, **body: Any) -> None:
    status, said = run.world.call("bob", method, path, **body)
    assert status in (200, 201, 204), said


def clear(run: Run, *tasks: str, **more: Any) -> None:
    body = {"dry_run": False, "task_ids": list(tasks), "dag_run_id": run.run_id, "only_failed": False, **more}
    bob(run, "POST", f"/api/v2/dags/{run.dag_id}/clearTaskInstances", **body)


def approve(run: Run, user: str = "alice") -> tuple[int, Any]:
    return run.answer(user, GATE, "Approve")


def nothing_ships(run: Run) -> None:
    assert run.outcome() != "succeeded"
    assert "change.started" not in run.kinds()


def reason(run: Run) -> str:
    """Return why the release ended, as it is recorded."""
    return str(run.events("release.closed")[0].data["reason"])


def stopped_at_the_deploy(run: Run) -> None:
    """The step after the gate has refused, and both it and the gate say what differs from the record."""
    nothing_ships(run)
    # Airflow may run the step more than once on a busy machine; each time it is refused for the same.
    assert {e.data["message"] for e in run.events("gate.bypassed")} == {PASSED}
    refused = run.events("step.refused")
    assert {e.step for e in refused} == {DEPLOY}
    assert all(PASSED in e.data["message"] for e in refused)
    assert PASSED in reason(run)


def test_a_gate_marked_skipped(run: Run) -> None:
    bob(run, "PATCH", f"{run.path}/taskInstances/{GATE}", new_state="skipped")
    nothing_ships(run)
    assert GATE in reason(run)


def test_a_deploy_marked_success_is_no_release(run: Run) -> None:
    bob(run, "PATCH", f"{run.path}/taskInstances/{DEPLOY}", new_state="success")
    bob(run, "PATCH", f"{run.path}/taskInstances/{GATE}", new_state="success")
    nothing_ships(run)
    assert run.state() == "failed"
    assert reason(run) == f"{GATE} has no recorded end"


def test_a_whole_stage_marked_success_in_one_click_is_no_release(run: Run) -> None:
    bob(run, "PATCH", f"{run.path}/taskGroupInstances/live", new_state="success")
    nothing_ships(run)
    assert run.state() == "failed"
    assert PASSED in {e.data["message"] for e in run.events("gate.bypassed")}


def test_a_gate_whose_task_is_deleted_opens_nothing(run: Run) -> None:
    bob(run, "DELETE", f"{run.path}/taskInstances/{GATE}")
    nothing_ships(run)


def test_a_run_whose_release_was_never_opened_ships_nothing(world: World) -> None:
    """Everything before the deploy is marked while the DAG is paused, so that the record knows nothing."""
    dag = "/api/v2/dags/release__brief"
    assert world.call("bob", "PATCH", dag, is_paused=True)[0] == 200
    run_id = world.admin.trigger("release__brief", {"version": "1.3.0"})
    run = Run(world, "release__brief", run_id, "")
    for task in ("open", "build", GATE):
        bob(run, "PATCH", f"{run.path}/taskInstances/{task}", new_state="success")
    assert world.call("bob", "PATCH", dag, is_paused=False)[0] == 200
    assert run.state() == "failed"
    assert run.task(DEPLOY) == "failed"
    assert world.ledger.releases(pipeline="brief") == []
    assert world.seen("live", "brief").stable is None


def test_a_deploy_that_is_cleared_to_run_alone(run: Run) -> None:
    clear(run, DEPLOY, include_upstream=False)
    bob(run, "PATCH", f"{run.path}/taskInstances/{GATE}", new_state="success")
    stopped_at_the_deploy(run)


def test_a_deploy_that_is_cleared_to_run_on_what_is_newest(run: Run) -> None:
    """Airflow's own "run on latest version": what was approved, and then another content of the DAG."""
    spec = run.world.specs / "gated.yaml"
    before = spec.read_text()
    bob(run, "POST", f"{API}/{run.release_id}/hold", reason="a moment")
    assert approve(run)[0] == 200
    try:
        spec.write_text(before.replace("timeout: 1h", "timeout: 2h"))
        dag = f"/api/v2/dags/{run.dag_id}/details"
        eventually(
            lambda: "timeout: 2h" in str(run.world.call("bob", "GET", dag)[1]), "the edited spec's DAG"
        )
        clear(run, DEPLOY, run_on_latest_version=True)
        bob(run, "POST", f"{API}/{run.release_id}/resume", reason="go on")
        nothing_ships(run)
        assert "changed under the release" in run.events("release.closed")[0].data["reason"]
    finally:
        spec.write_text(before)


def test_votes_forged_in_airflows_own_stores(run: Run) -> None:
    """Both stores of Airflow's that people take for a record of who approved."""
    votes = [{"id": "alice", "name": "Alice Example"}, {"id": "bob", "name": "Bob Example"}]
    bob(run, "PUT", f"{run.path}/taskInstances/{GATE}/state-store/votes", value=votes)
    entry = {"key": "votes", "value": votes, "map_index": -1}
    bob(run, "POST", f"{run.path}/taskInstances/{GATE}/xcomEntries", **entry)
    bob(run, "PATCH", f"{run.path}/taskInstances/{GATE}", new_state="success")
    stopped_at_the_deploy(run)


def test_an_approval_after_the_gate_was_marked_makes_nothing_of_it(run: Run) -> None:
    bob(run, "PATCH", f"{run.path}/taskInstances/{GATE}", new_state="success")
    nothing_ships(run)
    assert approve(run)[0] in (403, 404, 409)
    assert "gate.voted" not in run.kinds()
    assert run.events("gate.bypassed")


def test_a_run_that_is_deleted_keeps_its_record_and_ships_nothing(run: Run) -> None:
    bob(run, "PATCH", run.path, state="failed")
    run.state()
    bob(run, "DELETE", run.path)
    nothing_ships(run)
    vote = {"decision": "approve", "digest": run.world.ledger.votes.gate(run.release_id, GATE).subject_digest}
    status, said = run.world.call("alice", "POST", f"{API}/{run.release_id}/gates/{GATE}/votes", **vote)
    assert status in (404, 409), said


def test_an_artifact_that_was_swapped_after_the_approval(run: Run) -> None:
    """Held between the approval and the deploy, so that there is time to swap it."""
    archive = Path(unquote(urlsplit(run.events("artifact.built")[0].data["revision"]["uri"]).path))
    genuine = archive.read_bytes()
    bob(run, "POST", f"{API}/{run.release_id}/hold", reason="a moment")
    assert approve(run)[0] == 200
    try:
        archive.chmod(0o644)
        archive.write_bytes(genuine + b"\0")
        bob(run, "POST", f"{API}/{run.release_id}/resume", reason="go on")
        assert run.outcome() in ("failed", "rolled_back")
        assert run.world.seen("live", "gated").stable is None
        assert "digest" in run.events("release.closed")[0].data["reason"]
    finally:
        archive.write_bytes(genuine)


def test_a_risk_that_is_changed_after_the_gate_was_opened(world: World) -> None:
    """By a forged XCom, by assessing again, and by other weights in the spec: the board stays asked for."""
    run = world.start("risky")
    run.asked(GATE)
    run.parked(GATE)
    low = {"value": {"risk": "low", "message": "low risk"}, "map_index": -1}
    bob(run, "PATCH", f"{run.path}/taskInstances/assess/xcomEntries/return_value", **low)
    clear(run, "assess", include_downstream=False)
    eventually(lambda: run.task("assess") == "success", "the step that assesses, once more")
    assert approve(run)[0] == 200
    gate = run.world.ledger.votes.gate(run.release_id, GATE)
    assert (gate.state, [one.people for one in gate.lacking]) == ("open", [("root",)])
    spec = run.world.specs / "risky.yaml"
    before = spec.read_text()
    try:
        spec.write_text(before.replace("medium: 10", "medium: 98"))
        dag = f"/api/v2/dags/{run.dag_id}/details"
        eventually(
            lambda: "from 98 points on" in str(run.world.call("bob", "GET", dag)[1]), "the edited spec"
        )
        assert [one.people for one in run.world.ledger.votes.gate(run.release_id, GATE).lacking] == [
            ("root",)
        ]
        bob(run, "PATCH", f"{run.path}/taskInstances/{GATE}", new_state="success")
        nothing_ships(run)
        assert len(run.events("change.assessed")) == 1
    finally:
        spec.write_text(before)


def refused_as_a_stranger(run: Run) -> None:
    """Olaf's role lets him answer; that the gate does not call on him is why he is refused."""
    status, said = approve(run, "olaf")
    assert (status, f"olaf may not answer gate {GATE}" in said["detail"]) == (403, True), said


def test_people_who_make_themselves_approvers_while_it_waits(run: Run) -> None:
    people = run.world.specs / "people.yaml"
    before = people.read_text()
    try:
        people.write_text(
            before.replace("managers: [alice, bob]", "managers: [alice, bob, olaf]").replace(
                "groups:", "  olaf: {airflow: olaf}\ngroups:"
            )
        )
        refused_as_a_stranger(run)
        dag = f"/api/v2/dags/{run.dag_id}/details"
        eventually(lambda: "olaf" in str(run.world.call("bob", "GET", dag)[1]), "the edited spec's DAG")
        refused_as_a_stranger(run)
        assert approve(run)[0] == 200
        nothing_ships(run)
        assert "changed under the release" in run.events("release.closed")[0].data["reason"]
    finally:
        people.write_text(before)


def test_a_run_that_is_cleared_as_a_whole_ships_what_was_approved_and_not_what_it_would_build_now(
    run: Run,
) -> None:
    """Last here, since the platform then has a genuine copy of the version."""
    built = run.events("artifact.built")[0].data["revision"]["digest"]
    bob(run, "POST", f"{API}/{run.release_id}/hold", reason="a moment")
    assert approve(run)[0] == 200
    run.until("gate.decided")
    extra = run.world.stack.repo / "checkout" / "checkout" / "extra.txt"
    try:
        extra.write_text("nobody has seen this\n")
        bob(run, "POST", f"{run.path}/clear", dry_run=False, only_failed=False)
        bob(run, "POST", f"{API}/{run.release_id}/resume", reason="go on")
        assert run.outcome() == "succeeded"
    finally:
        extra.unlink()
    stable = run.world.seen("live", "gated").stable
    assert stable is not None
    assert stable.revision.digest == built
    assert len(run.events("artifact.built")) == 1
