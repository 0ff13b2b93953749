"""What is asked after a release: asked, refused, given, not given; and what it never touches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from relman_plugins.domain.event import Kind
from relman_plugins.domain.follow_up import GIVE, MOST, NONE
from relman_plugins.ledger.follow_ups import Given
from relman_plugins.steps.outcome import outcome_of
from relman_plugins.triggers.follow_up import FollowUpTrigger
from tests.steps import world as worlds
from tests.steps.world import Release, World

STEP = "follow_up"
WRITTEN = "follow_ups: {group: managers, after: [rolled_back, failed], timeout: 2d}\n"
FORM = {"what_1": "Alert on the error rate", "who_1": "Bob", "by_1": "2026-03-09"}


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = worlds.SPECS["checkout.yaml"]
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text.replace("stages:\n", WRITTEN + "stages:\n"))


@pytest.fixture
def release(world: World) -> Release:
    """A release that has failed, and is closed."""
    world.live("1.0.0")
    found = world.open(changes="Cheaper mugs").approved()
    found.run("production.canary_50")
    with pytest.raises(AirflowFailException):
        found.run("close")
    return found


def give(release: Release, user: str = "bob", option: str = GIVE, form: dict[str, Any] = FORM) -> Given:
    return release.world.ledger.give_follow_ups(
        release.id, airflow_user=user, option=option, form=form, via="airflow"
    )


def test_close_alone_decides_the_colour_of_the_run(world: World) -> None:
    close, after = world.dag.get_task("close"), world.dag.get_task(STEP)
    assert after.upstream_task_ids >= {"close"}
    assert (after.is_teardown, after.on_failure_fail_dagrun) == (True, False)
    assert close.on_failure_fail_dagrun
    again = DagSerialization.from_dict(DagSerialization.to_dict(world.dag))
    assert again.get_task("close").on_failure_fail_dagrun
    assert again.get_task(STEP).is_teardown


def test_people_are_asked_when_all_is_over_and_the_locks_are_free(release: Release, comms: list[Any]) -> None:
    waiting = release.run(STEP)
    assert isinstance(waiting, TaskDeferred)
    assert isinstance(waiting.trigger, FollowUpTrigger)
    assert release.world.ledger.locks.held() == []
    (asked,) = [m for m in comms if type(m).__name__ == "CreateHITLDetailPayload"]
    assert asked.subject == "checkout 1.1.0 failed: follow-ups?"
    assert (asked.options, [u.id for u in asked.assigned_users]) == ([GIVE, NONE], ["alice", "bob"])
    assert f"/relman/api/v1/releases/{release.id}/report?format=html" in asked.body
    assert list(asked.params)[:4] == ["what_1", "who_1", "by_1", "what_2"]
    assert len(asked.params) == 3 * MOST
    assert asked.params["by_1"]["schema"]["format"] == "date"
    (event,) = release.events(Kind.FOLLOW_UP_ASKED)
    until = f"{datetime.fromisoformat(event.data['until']):%Y-%m-%d %H:%M} UTC, 2d after this was asked"
    assert f"**Until when:** {until}. Nothing waits for it" in asked.body
    assert [p["id"] for p in event.data["people"]] == ["alice", "bob"]
    status = release.world.ledger.status(release.id).follow_ups
    assert status is not None
    assert (status.answered_by, status.items) == ("", ())


def test_an_answer_is_recorded_once_and_changes_nothing_of_the_outcome(release: Release) -> None:
    waiting = release.run(STEP)
    before = release.world.ledger.status(release.id)
    assert give(release).accepted
    refused = give(release, "alice", NONE, {})
    assert (refused.code, refused.reason) == ("answered", f"Bob has answered for {release.id}; that stands")
    said = release.resume(STEP, waiting, {"state": "given"})
    assert said["message"] == "1 follow-up named by Bob"
    status = release.world.ledger.status(release.id)
    assert status.follow_ups is not None
    assert [i.model_dump(mode="json") for i in status.follow_ups.items] == [
        {"what": "Alert on the error rate", "who": "Bob", "by": "2026-03-09"}
    ]
    assert (status.outcome, status.reason, status.suites) == (before.outcome, before.reason, before.suites)
    assert outcome_of(release.world.shape, release.events())[0] is status.outcome
    assert len(release.events(Kind.RELEASE_CLOSED)) == 1


@pytest.mark.parametrize(
    ("option", "form", "reason"),
    [
        (GIVE, {}, "nothing is written down"),
        (GIVE, {"who_1": "Bob"}, "row 1 says who or until when, but not what"),
        (GIVE, FORM | {"by_1": "soon"}, "by_1 is 'soon'; expected a date"),
        (GIVE, {"what_1": "x" * 501}, "what_1 has 501 characters"),
        (GIVE, {"what_1": ["x"]}, "what_1 is ['x']; expected text"),
        (GIVE, FORM | {"comment": "x"}, "there is no field 'comment'"),
        (NONE, FORM, "'Alert on the error rate' is written down"),
        ("Approve", {}, "expected 'Record follow-ups' or 'No follow-ups'"),
    ],
)
def test_what_cannot_be_read_is_refused_and_may_be_said_again(
    release: Release, option: str, form: dict[str, Any], reason: str
) -> None:
    release.run(STEP)
    refused = give(release, option=option, form=form)
    assert (refused.code, reason in refused.reason) == ("unfit", True), refused.reason
    assert not release.events(Kind.FOLLOW_UP)
    assert give(release, option=NONE, form={"what_1": None, "by_1": {"value": ""}}).accepted


def test_only_those_asked_may_answer_and_only_when_asked(release: Release) -> None:
    assert give(release).code == "not_asked"
    release.run(STEP)
    assert give(release, "uma").code == "not_entitled"


def test_nobodys_answer_in_time_is_none_and_the_step_ends_well(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = release.run(STEP)
    later = datetime.now(UTC) + timedelta(days=3)
    monkeypatch.setattr("relman_plugins.ledger.api.Ledger.now", lambda _: later)
    said = release.resume(STEP, waiting, {"state": "over"})
    assert said["message"] == "nobody named follow-ups in time"
    assert not release.events(Kind.FOLLOW_UP)
    assert release.kinds(STEP)[-1] is Kind.STEP_FINISHED


def test_an_answer_that_airflow_took_itself_counts_by_who_gave_it(release: Release) -> None:
    waiting = release.run(STEP)
    event = {"chosen_options": [GIVE], "params_input": FORM, "responded_by_user": {"id": "uma"}}
    waiting = release.resume(STEP, waiting, event)
    assert isinstance(waiting, TaskDeferred), "asked again"
    event["responded_by_user"] = {"id": "alice", "name": "alice"}
    assert release.resume(STEP, waiting, event)["message"] == "1 follow-up named by alice"


def test_after_other_outcomes_and_in_a_rehearsal_nobody_is_asked(world: World) -> None:
    world.live("1.0.0")
    aborted = world.open().at_the_gate()
    aborted.person(Kind.ABORT_REQUESTED)
    assert aborted.run(STEP)["message"] == "the release has no outcome yet, so nobody is asked"
    other = world.open(run_id="run-2")
    other.person(Kind.ABORT_REQUESTED)
    with pytest.raises(AirflowFailException):
        other.run("close")
    assert other.run(STEP)["message"] == "nobody is asked after aborted"
    dry = world.open(run_id="run-3", dry_run=True)
    assert "dry run" in dry.run(STEP)["message"]
    assert not other.events(Kind.FOLLOW_UP_ASKED) + dry.events(Kind.FOLLOW_UP_ASKED)
