"""Traffic first, fail closed, and people's words: a canary on a real Airflow, disturbed on purpose."""

from __future__ import annotations

import pytest

from relman_plugins.clients.http import client
from tests.system.conftest import Run, World, slack_transcript
from tests.waiting import eventually


@pytest.fixture(scope="module", autouse=True)
def users(world: World) -> None:
    world.found("canary", "canary")
    world.users("canary", "canary")


@pytest.fixture(autouse=True)
def as_found(world: World, users: None) -> None:
    world.found("canary", "canary")


def live(world: World, environment: str = "canary") -> str | None:
    seen = world.seen(environment, environment)
    return seen.stable.revision.version if seen.stable and seen.candidate is None else None


def test_a_bad_version_is_withdrawn_by_the_process_that_sees_it_and_rolled_back(world: World) -> None:
    run = world.start("canary", "1.2.0")
    assert run.outcome() == "rolled_back"
    assert run.state() == "failed"
    kinds = run.kinds()
    assert kinds.index("traffic.withdrawn") < kinds.index("analysis.finished") < kinds.index("step.failed")
    assert live(world) == "1.0.0"


def test_an_abort_takes_the_traffic_back_and_ends_as_aborted(world: World) -> None:
    run = world.start("canary", "1.3.0")
    run.until("analysis.measured")
    status, said = world.call(
        "bob", "POST", f"/relman/api/v1/releases/{run.release_id}/abort", reason="wrong day"
    )
    assert status < 300, said
    assert run.outcome() == "aborted"
    assert "wrong day" in run.events("release.closed")[0].data["reason"]
    assert live(world) == "1.0.0"


def test_a_held_release_waits_and_goes_on_when_it_is_resumed(world: World) -> None:
    run = world.start("canary", "1.1.0")
    run.until("analysis.measured")
    hold = f"/relman/api/v1/releases/{run.release_id}"
    assert world.call("bob", "POST", f"{hold}/hold", reason="lunch")[0] < 300
    run.until("analysis.finished")
    shifts = len(run.events("change.started"))
    other = world.start("gated")
    other.asked("live.approval")
    assert len(run.events("change.started")) == shifts
    assert world.call("bob", "POST", f"{hold}/resume", reason="back")[0] < 300
    assert run.outcome() == "succeeded"
    other.answer("bob", "live.approval", "Reject")


@pytest.mark.parametrize(
    ("option", "outcome", "version"), [("Approve", "succeeded", "1.1.0"), ("Reject", "rolled_back", "1.0.0")]
)
def test_no_data_holds_and_asks_a_person(world: World, option: str, outcome: str, version: str) -> None:
    world.found("blind", "blind")
    run = world.start("blind")
    run.asked("blind.approval")
    assert run.answer("alice", "blind.approval", "Approve")[0] == 200
    weights = ["blind.canary_20", "blind.canary_100"] if option == "Approve" else ["blind.canary_20"]
    for step in weights:
        verdict = run.until("analysis.finished", step).data["verdict"]
        assert verdict == "no_data"
        run.until("gate.opened", step)
        run.asked(step)
        assert "traffic.withdrawn" not in run.kinds()
        assert run.answer("bob", step, option)[0] == 200
    assert run.outcome() == outcome
    assert live(world, "blind") == version


def test_without_the_ledger_a_bad_version_is_still_taken_back_and_recorded_later_once(world: World) -> None:
    run = world.start("canary", "1.2.0")
    run.until("analysis.measured")
    with world.without_ledger():
        eventually(lambda: live(world) == "1.0.0", "the old version alone")
    assert run.outcome() == "rolled_back"
    assert len(run.events("traffic.withdrawn")) == 1


def test_slack_down_delays_nothing_and_is_told_everything_once_later(world: World) -> None:
    """By way of the judges that no other release here has: each has numbers of real traffic."""
    for environment in ("canary", "blind"):
        world.found(environment, "judged")
        world.users(environment, "judged")
    with client(world.stack.addresses.slack) as http:
        # Each may hit the same message, whose pauses double: three take half a minute, six five.
        assert http.post("/_fault", json={"kind": "server_error", "count": 3}).status_code < 300
    run = world.start("judged", "1.1.0")
    assert run.outcome() == "succeeded"
    judged = [(e.data["analysis"], e.data["verdict"]) for e in run.events("analysis.finished")]
    assert judged == [("beside", "pass"), ("beside", "pass"), ("budget", "pass"), ("samples", "pass")]
    beside = [e.data["desired"].get("baseline", False) for e in run.events("change.finished")]
    assert beside == [True, True, False, False, False, False, False]
    eventually(lambda: world.ledger.outbox.pending() == 0, "an empty outbox", 240)
    keys = [
        m["metadata"]["event_payload"]["key"]
        for channel in slack_transcript(world)
        for m in _all(channel)
        if run.release_id in str(m.get("metadata"))
    ]
    assert len(keys) == len(set(keys)) > 3


@pytest.mark.parametrize("delete", [False, True], ids=["marked", "deleted"])
def test_a_run_marked_failed_or_deleted_ends_and_its_candidate_is_taken_back(
    world: World, delete: bool
) -> None:
    run = world.start("canary", "1.3.0")
    run.until("analysis.measured")
    status, said = world.call("bob", "PATCH", run.path, state="failed")
    assert status == 200, said
    if delete:
        # Airflow deletes no run whose teardown is still to be done: closing comes first.
        assert run.state() == "failed"
        status, said = world.call("bob", "DELETE", run.path)
        assert status == 204, said
    assert run.outcome(300) in {"aborted", "failed", "rolled_back"}
    eventually(lambda: live(world) == "1.0.0", "the old version alone")
    run.unlocked()


def _all(channel: dict) -> list[dict]:
    return [m for parent in channel["messages"] for m in (parent, *parent.get("replies", ()))]


def test_one_release_at_a_time_and_the_next_one_waits_for_the_lock(world: World) -> None:
    first = world.start("canary", "1.1.0")
    first.until("change.started")
    second: Run = world.start("canary", "1.3.0")
    assert first.outcome() == "succeeded"
    assert second.outcome() == "succeeded"
    tokens = [r.events("change.started")[0].data["token"] for r in (first, second)]
    assert tokens[0] < tokens[1]
    assert first.events("change.finished")[-1].id < second.events("change.started")[0].id
    assert live(world) == "1.3.0"
