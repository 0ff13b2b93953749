"""Time and order at gates on a real Airflow: superseding, asking again, and an emergency's debt."""

from __future__ import annotations

from tests.system.conftest import World, slack_transcript
from tests.waiting import eventually

API = "/relman/api/v1"


def test_the_approval_of_a_newer_release_ends_the_one_that_waits(world: World) -> None:
    older, newer = world.start("gated"), world.start("gated")
    for run in (older, newer):
        run.asked("live.approval")
    assert newer.answer("alice", "live.approval", "Approve")[0] == 200
    assert older.outcome() == "superseded"
    assert older.state() == "failed"
    assert newer.outcome() == "succeeded"
    assert newer.release_id in older.events("release.closed")[0].data["reason"]
    assert older.answer("bob", "live.approval", "Approve")[0] == 409
    assert "change.started" not in older.kinds()
    told = f"Superseded by `1.1.0` (`{newer.release_id}`)"
    eventually(lambda: told in str(slack_transcript(world)), "Slack's word of it")


def test_an_approval_that_has_run_out_is_asked_for_again_where_the_traffic_is(world: World) -> None:
    world.found("renewed", "renewed")
    run = world.start("renewed")
    run.asked("renewed.approval")
    assert run.answer("alice", "renewed.approval", "Approve")[0] == 200
    run.until("step.finished", "renewed.canary_50")
    run.asked("renewed.canary_100")
    observed = world.seen("renewed", "renewed")
    assert observed.candidate is not None
    assert observed.candidate.weight == 50
    assert run.answer("vera", "renewed.canary_100", "Approve")[0] == 403
    assert run.answer("bob", "renewed.canary_100", "Approve")[0] == 200
    assert run.outcome() == "succeeded"
    assert [e.step for e in run.events("gate.opened")] == ["renewed.approval"] * 2
    assert [e.actor.id for e in run.events("gate.voted")] == ["alice", "bob"]
    assert not run.events("gate.bypassed")
    tries = {t["task_id"]: t["try_number"] for t in world.admin.tasks(run.dag_id, run.run_id)}
    assert tries["renewed.canary_100"] == 1


def test_an_emergency_skips_what_it_may_and_owes_it(world: World) -> None:
    run = world.start("glass", emergency=True, emergency_reason="the shop is down")
    assert run.outcome() == "succeeded"
    (waived,) = run.events("gate.waived")
    assert (waived.actor.id, waived.data["reason"]) == ("admin", "the shop is down")
    assert not run.events("gate.bypassed")
    status, said = world.call("alice", "GET", f"{API}/gates?debts=true")
    assert status == 200
    debt = next(g for g in said["gates"] if g["release_id"] == run.release_id)
    assert debt["gate"] == "glass.break_glass"
    vote = {"decision": "approve", "digest": debt["subject_digest"]}
    path = f"{API}/releases/{run.release_id}/gates/{debt['gate']}/votes"
    status, said = world.call("alice", "POST", path, **vote)
    assert status == 201, said
    assert world.ledger.votes.debts() == []
    eventually(lambda: "Break-glass" in str(slack_transcript(world)), "Slack's word of it")


def test_an_emergency_of_somebody_else_waits_for_approval(world: World) -> None:
    dag_id = "release__glass"
    status, said = world.call(
        "bob",
        "POST",
        f"/api/v2/dags/{dag_id}/dagRuns",
        logical_date=None,
        conf={"version": "1.1.0", "emergency": True, "emergency_reason": "me too"},
    )
    assert status == 200, said
    run_id = said["dag_run_id"]
    release = eventually(lambda: world.ledger.release_of_run(dag_id, run_id), "the release of bob")
    asked = eventually(lambda: world.admin.required_action(dag_id, run_id, "glass.approval"), "the question")
    assert "This emergency skips no rule:" in str(asked)
    assert not world.ledger.votes.gate(release.release_id, "glass.break_glass")
