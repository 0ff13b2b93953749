"""Watching the numbers: what happens when processes die, answer twice, or cannot reach anything."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import DesiredState
from relman_plugins.hooks.change import Change, finish
from relman_plugins.triggers import withdrawal
from relman_plugins.triggers.analysis import AnalysisTrigger
from tests.steps.world import Numbers, Release, payload
from tests.waiting import eventually

STEP = "production.canary_50"


def ended(trigger: AnalysisTrigger, within_s: float = 60) -> dict[str, Any]:
    """Run a trigger to its event."""
    return asyncio.run(asyncio.wait_for(payload(trigger), within_s))


def copy_of(trigger: AnalysisTrigger) -> AnalysisTrigger:
    """Make the trigger again from what Airflow keeps of it."""
    return type(trigger)(**trigger.serialize()[1])


def test_a_triggerer_of_the_relman_before_knows_all_that_is_stored_of_a_watch_by_limits(
    release: Release,
) -> None:
    stored = release.run(STEP).trigger.serialize()[1]["watch"]
    assert not {"baseline", "shared"} & set(stored)


def test_bad_numbers_take_the_traffic_back_and_are_on_record_before_the_event(
    release: Release, numbers: Numbers
) -> None:
    waiting = release.run(STEP)
    numbers.value = 1.0
    assert ended(waiting.trigger)["verdict"] == "fail"
    assert release.world.weights() == {"1.0.0": 100}
    kinds = release.kinds(STEP)
    order = (Kind.TRAFFIC_WITHDRAWN, Kind.ANALYSIS_MEASURED, Kind.ANALYSIS_FINISHED)
    assert [kind for kind in kinds if kind in order] == list(order)


def test_traffic_goes_back_when_nothing_can_be_recorded_anywhere(release: Release, numbers: Numbers) -> None:
    waiting = release.run(STEP)
    numbers.value = 1.0
    with release.world.without_ledger():
        settings.spool_folder().write_text("a file where the folder was to be")
        with pytest.raises(OSError, match="File exists"):
            ended(waiting.trigger)
    assert release.world.weights() == {"1.0.0": 100}


def test_a_withdrawal_that_nobody_could_record_is_still_a_failure(release: Release, numbers: Numbers) -> None:
    waiting = release.run(STEP)
    watch = waiting.trigger.watch
    change = Change("production", "checkout", STEP, watch.withdraw, watch.token, "killed")
    finish(change, release.world.platform, lambda _: None, release.id, 30)
    numbers.value = None
    assert ended(copy_of(waiting.trigger))["verdict"] == "fail"
    assert release.events(Kind.ANALYSIS_FINISHED)[0].data["verdict"] == "fail"
    assert release.events(Kind.TRAFFIC_WITHDRAWN)


def test_without_the_ledger_traffic_goes_back_and_the_verdict_waits_for_the_ledger(
    release: Release, numbers: Numbers
) -> None:
    waiting = release.run(STEP)
    numbers.value = 1.0
    found: list[Any] = []
    with release.world.without_ledger():
        thread = threading.Thread(target=lambda: found.append(ended(waiting.trigger)))
        thread.start()
        eventually(lambda: release.world.weights() == {"1.0.0": 100}, "the traffic is back")
        # By any name: whoever tries the ledger again first moves what is spooled into a file of its own.
        eventually(lambda: list(settings.spool_folder().glob("*.jsonl")), "the spool has events")
        thread.join(1)
        assert found == []
    thread.join(60)
    assert found[0]["verdict"] == "fail"
    assert len(release.events(Kind.TRAFFIC_WITHDRAWN)) == 1


def test_an_abort_is_heard_while_the_release_is_held(release: Release) -> None:
    waiting = release.run(STEP)
    release.person(Kind.RELEASE_HELD)
    release.person(Kind.ABORT_REQUESTED, "wrong day")
    watch = waiting.trigger.watch
    state = {"rounds": 2, "verdict": "pass", "reason": "fine", "metrics": {}}
    release.says(Kind.ANALYSIS_MEASURED, STEP, key=f"{watch.prefix}:look2", state=state)
    assert ended(waiting.trigger, 20)["aborted"] is True
    assert release.world.weights() == {"1.0.0": 100}


def test_an_abort_does_not_wait_for_the_next_look_and_no_resumption_takes_it_back(release: Release) -> None:
    seldom = copy_of(release.run(STEP).trigger)
    seldom.watch = seldom.watch.model_copy(update={"interval_s": 3600.0})
    for kind in (Kind.RELEASE_HELD, Kind.ABORT_REQUESTED, Kind.RELEASE_RESUMED):
        release.person(kind)
    assert ended(seldom)["aborted"] is True
    assert release.world.weights() == {"1.0.0": 100}
    assert release.events(Kind.ANALYSIS_MEASURED) == []


def test_a_good_end_waits_for_the_resumption_and_an_abort_meanwhile_takes_the_traffic_back(
    release: Release,
) -> None:
    waiting = release.run(STEP)
    release.person(Kind.RELEASE_HELD)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ended(waiting.trigger)))
    thread.start()
    eventually(lambda: release.events(Kind.ANALYSIS_FINISHED), "the looks are over")
    thread.join(1)
    assert found == []
    release.person(Kind.ABORT_REQUESTED, "wrong day")
    thread.join(60)
    assert (found[0]["aborted"], found[0]["reason"]) == (True, "wrong day")
    assert release.events(Kind.ANALYSIS_FINISHED)[0].data["verdict"] == "pass"
    assert release.world.weights() == {"1.0.0": 100}


def test_a_failure_whose_process_was_lost_before_the_traffic_was_back_takes_it_back(release: Release) -> None:
    waiting = release.run(STEP)
    state = {"rounds": 1, "verdict": "fail", "reason": "too bad", "metrics": {}}
    release.says(
        Kind.ANALYSIS_MEASURED, STEP, key=f"{waiting.trigger.watch.prefix}:look1", look=1, state=state
    )
    event = ended(waiting.trigger)
    assert (event["verdict"], event["reason"]) == ("fail", "too bad")
    assert release.world.weights() == {"1.0.0": 100}


def test_a_copy_that_outlived_its_watch_does_nothing(release: Release, numbers: Numbers) -> None:
    waiting = release.run(STEP)
    late = copy_of(waiting.trigger)
    late.watch = late.watch.model_copy(update={"started_at": time.time() + 5})

    async def both() -> Any:
        slower = asyncio.create_task(payload(late))
        assert (await payload(waiting.trigger))["verdict"] == "pass"
        release.finished(STEP)
        numbers.value = 1.0
        return await slower

    assert asyncio.run(both())["reason"] == "the step has ended"
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}


def test_two_copies_at_once_agree_on_the_first_verdict(release: Release, numbers: Numbers) -> None:
    waiting = release.run(STEP)
    numbers.value = 1.0

    async def both() -> list[Any]:
        return await asyncio.gather(payload(waiting.trigger), payload(copy_of(waiting.trigger)))

    assert {e["verdict"] for e in asyncio.run(both())} == {"fail"}
    assert len(release.events(Kind.TRAFFIC_WITHDRAWN)) == 1
    assert len(release.events(Kind.ANALYSIS_FINISHED)) == 1


def test_a_closed_release_is_not_watched_any_longer(release: Release, numbers: Numbers) -> None:
    waiting = release.run(STEP)
    release.says(Kind.RELEASE_CLOSED, outcome="aborted", reason="its run was deleted")
    numbers.value = 1.0
    assert ended(waiting.trigger)["reason"] == "the release is closed"
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}


def test_an_environment_that_another_release_has_taken_is_left_to_it(
    release: Release, numbers: Numbers
) -> None:
    waiting = release.run(STEP)
    world = release.world
    theirs = DesiredState(stable=world.revisions["1.3.0"], stable_replicas=1)
    numbers.value = 1.0
    token = world.seen().token

    def taken() -> None:
        numbers.asked = lambda: None
        world.platform.converge("production", "checkout", theirs, token=token + 1)

    numbers.asked = taken
    event = ended(waiting.trigger, 30)
    assert event["verdict"] == "fail"
    assert "newer" in event["stuck"] or "older" in event["stuck"]
    assert world.weights() == {"1.3.0": 100}


def test_a_platform_that_stays_away_does_not_hold_the_failure_back_for_ever(
    release: Release, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = release.run(STEP)
    monkeypatch.setenv("AIRFLOW_CONN_RELMAN_SANDBOX", "relman-sandbox://127.0.0.1:1")
    monkeypatch.setattr(withdrawal, "PATIENCE_S", 0.5)
    numbers.value = 1.0
    event = ended(waiting.trigger, 30)
    assert event["verdict"] == "fail"
    assert "does not answer" in event["stuck"]


def test_a_killed_watch_goes_on_where_it_was(release: Release, numbers: Numbers) -> None:
    waiting = release.run(STEP)

    async def killed() -> None:
        task = asyncio.create_task(payload(waiting.trigger))
        while not release.events(Kind.ANALYSIS_MEASURED):
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(killed())
    assert ended(copy_of(waiting.trigger))["verdict"] == "pass"
    assert [e.data["look"] for e in release.events(Kind.ANALYSIS_MEASURED)] == [1, 2]
