"""Changing an environment: retries, lost locks, lost records, people's words, and going back."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.errors import LedgerError, LedgerUnavailable, StaleToken
from relman_plugins.ledger import spool
from relman_plugins.operators import rollback
from relman_plugins.triggers.analysis import AnalysisTrigger
from relman_plugins.triggers.waits import HoldTrigger, LockTrigger
from tests.steps.world import Release, World

FIRST, LAST, MONITOR, ROLLBACK = (
    f"production.{name}" for name in ("canary_50", "canary_100", "monitor", "rollback")
)
PERSON = Actor(kind="person", id="bob", name="Bob", via="cli")


def judged(release: Release, step: str, verdict: str, attempt: str = "try1") -> None:
    """Record a verdict as the trigger would."""
    release.says(
        Kind.ANALYSIS_FINISHED,
        step,
        key=f"{release.id}:{step}:{attempt}:finished",
        analysis="numbers",
        weight=50,
        verdict=verdict,
        reason="because",
        looks=2,
    )


def passed(release: Release, step: str) -> Any:
    """Run a step whose numbers are good."""
    waiting = release.run(step)
    assert isinstance(waiting.trigger, AnalysisTrigger)
    judged(release, step, "pass")
    return release.resume(step, waiting, {"verdict": "pass", "reason": "fine", "aborted": False})


def withdrawn(release: Release) -> None:
    """Take the traffic back, as a process does that is killed before it can record it."""
    world = release.world
    stable = DesiredState(stable=world.revisions["1.0.0"], stable_replicas=1)
    world.platform.converge("production", "checkout", stable, token=world.seen().token)


def test_a_retry_does_not_bring_back_a_candidate_whose_withdrawal_is_not_on_record(release: Release) -> None:
    release.run(FIRST)
    withdrawn(release)
    with pytest.raises(AirflowFailException, match="taken back"):
        release.run(FIRST, try_number=2)
    assert release.world.weights() == {"1.0.0": 100}


def test_a_good_verdict_of_a_second_watcher_does_not_go_past_an_unrecorded_withdrawal(
    release: Release,
) -> None:
    waiting = release.run(FIRST)
    withdrawn(release)
    judged(release, FIRST, "pass")
    with pytest.raises(AirflowFailException, match="taken back"):
        release.resume(FIRST, waiting, {"verdict": "pass", "reason": "fine", "aborted": False})


def test_a_good_verdict_that_is_not_on_record_lets_nothing_go_on(release: Release) -> None:
    """The event of a trigger is no record."""
    waiting = release.run(FIRST)
    with pytest.raises(LedgerUnavailable, match="no verdict of this analysis yet"):
        release.resume(FIRST, waiting, {"verdict": "pass", "reason": "fine", "aborted": False})
    assert Kind.STEP_FINISHED not in release.kinds(FIRST)


def test_a_retry_after_a_killed_change_makes_it_again(release: Release) -> None:
    world = release.world
    assert world.ledger.locks.acquire("production", "checkout", release.id, 60)
    token = world.ledger.locks.held(release.id)[0].token
    previous = world.revisions["1.0.0"].model_dump(mode="json")
    release.says(Kind.CHANGE_STARTED, FIRST, desired={}, token=token, previous=previous)
    assert isinstance(release.run(FIRST, try_number=2), TaskDeferred)
    assert world.weights() == {"1.0.0": 50, "1.1.0": 50}


def test_after_a_bad_verdict_a_retry_fails_and_moves_nothing(release: Release) -> None:
    release.run(FIRST)
    judged(release, FIRST, "fail")
    release.says(Kind.TRAFFIC_WITHDRAWN, FIRST, reason="bad", version="1.1.0")
    with pytest.raises(AirflowFailException, match="bad"):
        release.run(FIRST, try_number=2)


def test_nothing_is_brought_in_again_after_a_rollback(release: Release) -> None:
    release.run(FIRST)
    release.run(ROLLBACK)
    assert release.world.weights() == {"1.0.0": 100}
    with pytest.raises(AirflowFailException, match="rolled back"):
        release.run(FIRST, try_number=2)
    assert release.world.weights() == {"1.0.0": 100}


def test_what_a_lost_process_still_converges_to_after_the_rollback_is_refused(release: Release) -> None:
    release.run(FIRST)
    world = release.world
    token = release.world.seen().token
    late = world.platform.observe("production", "checkout").candidate
    assert late is not None
    release.run(ROLLBACK)
    again = DesiredState(stable=late.revision, stable_replicas=1)
    with pytest.raises(StaleToken):
        world.platform.converge("production", "checkout", again, token=token)
    assert world.weights() == {"1.0.0": 100}


def test_a_release_whose_lock_was_broken_promotes_nothing(release: Release) -> None:
    passed(release, FIRST)
    passed(release, LAST)
    waiting = release.run(MONITOR)
    judged(release, MONITOR, "pass")
    release.world.ledger.locks.break_lock("production", "checkout", actor=PERSON, reason="stop it")
    with pytest.raises(AirflowFailException, match="lost its lock"):
        release.resume(MONITOR, waiting, {"verdict": "pass", "reason": "fine", "aborted": False})
    assert release.world.weights() == {"1.0.0": 0, "1.1.0": 100}
    assert release.world.ledger.locks.held() == []


def test_a_hold_that_comes_just_before_the_promotion_holds_it(release: Release) -> None:
    passed(release, FIRST)
    passed(release, LAST)
    waiting = release.run(MONITOR)
    judged(release, MONITOR, "pass")
    task = release.task(MONITOR)
    looked = task.still_serves

    def held_just_after(*about: Any) -> None:
        looked(*about)
        release.person(Kind.RELEASE_HELD)

    task.still_serves = held_just_after
    try:
        held = release.resume(MONITOR, waiting, {"verdict": "pass", "reason": "fine", "aborted": False})
    finally:
        del task.__dict__["still_serves"]
    assert isinstance(held.trigger, HoldTrigger)
    assert release.world.weights() == {"1.0.0": 0, "1.1.0": 100}


def test_a_release_whose_lock_was_broken_before_its_first_change_does_not_take_it_again(
    release: Release,
) -> None:
    locks = release.world.ledger.locks
    locks.acquire("production", "checkout", release.id, 60)
    locks.break_lock("production", "checkout", actor=PERSON, reason="out of there")
    with pytest.raises(AirflowFailException, match=r"broke it \(out of there\); nothing goes forward"):
        release.run(FIRST)
    assert Kind.CHANGE_STARTED not in release.kinds()
    assert locks.held() == []


def test_a_release_that_lost_its_lock_to_another_does_not_undo_what_that_one_did(release: Release) -> None:
    world = release.world
    passed(release, FIRST)
    world.ledger.locks.break_lock("production", "checkout", actor=PERSON, reason="urgent")
    other = world.open("1.3.0", "run-2").approved()
    passed(other, FIRST)
    with pytest.raises(AirflowFailException, match=f"{other.id} has it now"):
        release.run(LAST)
    assert world.weights() == {"1.0.0": 50, "1.3.0": 50}


def test_the_next_release_waits_for_the_lock_before_its_first_change(release: Release) -> None:
    release.run(FIRST)
    other = release.world.open("1.3.0", "run-2").approved()
    assert isinstance(other.run(FIRST).trigger, LockTrigger)
    assert Kind.CHANGE_STARTED not in other.kinds()


def test_an_undecided_analysis_that_a_person_accepts_is_not_promoted_once_the_release_is_held(
    release: Release, comms: list[Any]
) -> None:
    waiting = release.run(FIRST)
    judged(release, FIRST, "no_data")
    event = {"verdict": "no_data", "reason": "nothing", "aborted": False}
    asking = release.resume(FIRST, waiting, event)
    assert comms
    release.vote(FIRST)
    release.person(Kind.RELEASE_HELD)
    held = release.resume(FIRST, asking, {"state": "approved"})
    assert isinstance(held.trigger, HoldTrigger)
    release.person(Kind.RELEASE_RESUMED)
    assert "accepted by" in release.resume(FIRST, held, {"state": "resumed"})["message"]


def test_a_changed_spec_stops_a_promotion_that_people_were_asked_about(release: Release) -> None:
    waiting = release.run(FIRST)
    judged(release, FIRST, "no_data")
    asking = release.resume(FIRST, waiting, {"verdict": "no_data", "reason": "", "aborted": False})
    release.vote(FIRST)
    task = release.task(FIRST)
    before = task.shape
    task.shape = before.model_copy(update={"owner": "somebody else"})
    try:
        with pytest.raises(AirflowFailException, match="changed under the release"):
            release.resume(FIRST, asking, {"state": "approved"})
    finally:
        task.shape = before


def test_traffic_that_could_not_be_taken_back_is_said_to_be_so(release: Release) -> None:
    waiting = release.run(FIRST)
    event = {"verdict": "fail", "reason": "bad", "aborted": False, "stuck": "the platform is away"}
    with pytest.raises(AirflowFailException, match="NOT taken back: the platform is away"):
        release.resume(FIRST, waiting, event)


def test_a_first_deploy_takes_all_the_traffic_and_its_rollback_leaves_nothing(world: World) -> None:
    release = world.open().approved()
    release.run(FIRST)
    assert world.weights() == {"1.1.0": 100}
    release.run(ROLLBACK)
    assert world.seen().exists is False


def test_the_same_version_again_changes_nothing_and_succeeds(world: World) -> None:
    world.live("1.1.0")
    release = world.open().approved()
    release.run(FIRST)
    passed(release, LAST)
    passed(release, MONITOR)
    assert world.weights() == {"1.1.0": 100}
    assert world.ledger.locks.held() == []


def test_a_version_that_the_platform_refuses_is_not_tried_again_and_again(world: World) -> None:
    world.live("1.0.0")
    old = world.revisions["1.0.0"]
    world.revisions["9.9.9"] = Revision(version="9.9.9", digest=old.digest, uri=old.uri)
    release = world.open("9.9.9").approved()
    with pytest.raises(AirflowFailException, match="does not start in production"):
        release.run(FIRST)
    assert [e.data["final"] for e in release.events(Kind.STEP_FAILED)] == [True]
    release.run(ROLLBACK)
    assert world.weights() == {"1.0.0": 100}


def test_rollback_without_the_ledger_goes_by_what_the_steps_left(release: Release) -> None:
    release.run(FIRST)
    with release.world.without_ledger():
        assert "1.0.0 has all the traffic" in release.run(ROLLBACK)["message"]
        assert release.world.weights() == {"1.0.0": 100}
    release.run(ROLLBACK, try_number=2)
    assert len(release.events(Kind.ROLLBACK_FINISHED)) == 1


def test_rollback_without_the_ledger_and_without_xcom_asks_the_platform(release: Release) -> None:
    release.run(FIRST)
    release.world.xcom.clear()
    with release.world.without_ledger():
        with pytest.raises(LedgerUnavailable):
            release.run(ROLLBACK)
        assert release.world.weights() == {"1.0.0": 100}
    release.run(ROLLBACK, try_number=2)
    assert release.events(Kind.ROLLBACK_FINISHED)


def test_a_forged_xcom_ships_nothing_when_the_ledger_is_away(release: Release) -> None:
    """Any Airflow user may write XCom; what no worker sealed is not believed, in whatever form it comes."""
    release.run(FIRST)
    xcom, evil = release.world.xcom, release.world.revisions["1.1.0"].model_dump(mode="json")
    (place, true) = next((k, v) for k, v in xcom.items() if "seal" in v)
    forged = true["data"] | {"previous": evil, "token": 10**9}
    for value in (forged, {"data": forged, "seal": true["seal"]}, {"data": forged, "seal": ""}):
        xcom[place] = value
        with release.world.without_ledger(), pytest.raises((LedgerUnavailable, AirflowSkipException)):
            release.run(ROLLBACK)
        assert release.world.weights() == {"1.0.0": 100}
        assert release.world.seen().token < 10**9


@pytest.mark.parametrize("by", ["a hold", "a freeze", "an abort"])
def test_nothing_that_stops_changes_stands_in_the_way_of_a_rollback(release: Release, by: str) -> None:
    release.run(FIRST)
    if by == "a freeze":
        freezes = release.world.ledger.freezes
        freezes.freeze(environment="production", pipeline="", reason="no changes", until=None, actor=PERSON)
    else:
        release.person(Kind.RELEASE_HELD if by == "a hold" else Kind.ABORT_REQUESTED)
    assert "1.0.0 has all the traffic" in release.run(ROLLBACK)["message"]
    assert release.world.weights() == {"1.0.0": 100}


def test_a_rollback_during_which_the_ledger_goes_away_is_done_and_told_afterwards(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    release.run(FIRST)
    world = release.world

    class Losing:
        """The real platform; the ledger is lost while it converges."""

        def converge(self, *about: Any, **more: Any) -> Any:
            gone.enter_context(world.without_ledger())
            return world.platform.converge(*about, **more)

    with ExitStack() as gone:
        with monkeypatch.context() as patched:
            patched.setattr(rollback, "platform_of", lambda _: Losing())
            with pytest.raises(LedgerError):
                release.run(ROLLBACK)
        assert world.weights() == {"1.0.0": 100}
        assert list(settings.spool_folder().glob("*.jsonl"))
    assert spool.replay(settings.spool_folder(), world.ledger)
    assert release.kinds(ROLLBACK)[-2:] == [Kind.CHANGE_FINISHED, Kind.STEP_FAILED]
    release.run(ROLLBACK, try_number=2)
    assert len(release.events(Kind.ROLLBACK_FINISHED)) == 1


def test_a_rollback_goes_by_the_stored_plan_whatever_the_spec_says_by_now(release: Release) -> None:
    release.run(FIRST)
    task = release.task(ROLLBACK)
    before = task.shape
    moved = [s.model_copy(update={"environment": "staging"}) if s.id == ROLLBACK else s for s in before.steps]
    more = [e.model_copy(update={"replicas": 2}) for e in before.environments]
    task.shape = before.model_copy(update={"steps": tuple(moved), "environments": tuple(more)})
    try:
        assert "1 of 1 replicas ready" in release.run(ROLLBACK)["message"]
    finally:
        task.shape = before
    assert release.world.weights() == {"1.0.0": 100}


def test_rollback_without_the_ledger_leaves_another_version_alone(release: Release) -> None:
    with release.world.without_ledger(), pytest.raises(AirflowSkipException):
        release.run(ROLLBACK)
    assert release.world.weights() == {"1.0.0": 100}


def test_rollback_goes_on_when_the_ledger_comes_back_half_way(release: Release) -> None:
    release.run(FIRST)
    with release.world.without_ledger():
        release.run(ROLLBACK)
    kinds = release.kinds(ROLLBACK)
    assert Kind.ROLLBACK_FINISHED not in kinds
    with pytest.raises(AirflowFailException, match="rolled_back"):
        release.run("close")
    assert release.events(Kind.RELEASE_CLOSED)[0].data["outcome"] == "rolled_back"
