"""How a release ended, by what is recorded."""

from __future__ import annotations

from relman_plugins.domain.event import Kind
from relman_plugins.steps.outcome import left_behind, outcome_of
from tests.steps.world import Release, World

ALL = (
    "open", "build", "staging.deploy", "staging.one", "staging.two", "production.approval",
    "production.canary_50", "production.canary_100", "production.monitor",
)  # fmt: skip


def outcome(release: Release) -> tuple[str, str]:
    found, why = outcome_of(release.world.shape, release.events())
    return found.value, why


def test_an_abort_after_everything_succeeded_takes_nothing_back_and_says_so(world: World) -> None:
    release = world.open().finished(*ALL)
    release.person(Kind.ABORT_REQUESTED, "too late")
    assert outcome(release)[0] == "succeeded"
    assert "Bob asked to abort" in outcome(release)[1]


def test_an_abort_before_the_end_is_an_abort(world: World) -> None:
    release = world.open().finished(*ALL[:-1])
    release.person(Kind.ABORT_REQUESTED, "wrong day")
    assert outcome(release) == ("aborted", "aborted by Bob: wrong day")


def test_an_abort_that_took_the_traffic_back_is_an_abort(world: World) -> None:
    release = world.open().finished(*ALL)
    release.person(Kind.ABORT_REQUESTED, "wrong day")
    release.says(Kind.TRAFFIC_WITHDRAWN, ALL[-1], reason="wrong day")
    assert outcome(release)[0] == "aborted"


def test_a_try_that_a_later_one_put_right_is_not_the_reason(world: World) -> None:
    release = world.open()
    release.says(Kind.STEP_FAILED, "staging.deploy", message="the platform was away", final=False)
    release.finished(*ALL[:4])
    assert outcome(release) == ("failed", "staging.two has no recorded end")


def test_the_reason_is_what_failed_and_not_what_tidying_up_had_trouble_with(world: World) -> None:
    release = world.open().finished(*ALL[:6])
    release.says(Kind.STEP_FAILED, "production.canary_50", message="errors", final=True)
    release.says(Kind.STEP_FAILED, "production.rollback", message="the platform was away", final=False)
    release.says(Kind.ROLLBACK_FINISHED, "production.rollback")
    assert outcome(release) == ("rolled_back", "production.canary_50: errors")


def test_a_start_that_is_recorded_after_its_end_leaves_nothing_behind(world: World) -> None:
    release, step = world.open(), "production.canary_50"
    key, desired = f"{release.id}:{step}:try1:withdraw", {"candidate": None}
    release.says(Kind.CHANGE_FINISHED, step, key=f"{key}:change.finished", desired=desired)
    release.says(Kind.CHANGE_STARTED, step, key=f"{key}:change.started", desired=desired)
    assert left_behind(world.shape, release.events()) == []
