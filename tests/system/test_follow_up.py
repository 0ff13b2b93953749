"""A question after a release, on a real Airflow: it changes neither outcome nor colour, holds no lock."""

from __future__ import annotations

from tests.system.conftest import World, slack_transcript
from tests.waiting import eventually

STEP = "follow_up"
GATE = "live.approval"


def test_people_say_after_a_rejection_what_is_to_be_done(world: World) -> None:
    run = world.start("asking")
    run.asked(GATE)
    assert run.answer("bob", GATE, "Reject")[0] == 200
    assert run.outcome() == "rejected"
    run.asked(STEP)
    assert world.ledger.locks.held(run.release_id) == []
    detail = world.admin.required_action(run.dag_id, run.run_id, STEP)
    assert detail["subject"] == "asking 1.1.0 rejected: follow-ups?"
    path = f"{run.path}/taskInstances/{STEP}/-1/hitlDetails"
    form = {"what_1": "Tell people before", "who_1": "Bob", "by_1": "2026-03-09", "what_2": None}
    status, said = world.call("alice", "PATCH", path, chosen_options=["Record follow-ups"], params_input=form)
    assert status == 200, said
    assert run.until("release.follow_up").data["items"][0]["what"] == "Tell people before"
    assert run.state() == "failed"
    assert run.task(STEP) == "success"
    assert run.kinds().count("release.closed") == 1
    status_now = world.ledger.status(run.release_id)
    assert (status_now.outcome, status_now.follow_ups and status_now.follow_ups.answered_by) == (
        "rejected",
        "Alice Example",
    )
    eventually(lambda: "wants 1 follow-up" in str(slack_transcript(world)), "the message in Slack")
