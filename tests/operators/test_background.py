"""A background analysis over the weights of a canary: real sandbox, real ledger, a metrics server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.errors import PlatformUnavailable
from relman_plugins.evidence.verdicts import replayed_of
from relman_plugins.hooks.platform import async_platform_of
from relman_plugins.plan.model import Shape
from relman_plugins.triggers import withdrawal
from tests.operators.test_comparison import COMPARED, LIMITS, ended, killed_after_a_look, looks, stored
from tests.steps.rewriting import rewrite
from tests.steps.world import Numbers, Release, payload

FIRST, SECOND = "production.canary_20", "production.canary_50"
WEAK = (9, 1000), (24, 1000)
"""Too little for a weight by itself, at a half of 2 %."""


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the canary be compared at two weights, in two looks each, in the background of both."""
    judge = "    judge: sequential\n"
    rewrite(
        monkeypatch,
        "checkout.yaml",
        (LIMITS, COMPARED.replace(judge, judge + "    undecided: pass\n")),
        ("steps: [50, 100]", "steps: [20, 50, 100]"),
        ("interval: 1s, count: 2}", "interval: 1s, count: 2, background: true}"),
        ("monitor: {for: 2s, analysis: numbers", "monitor: {for: 2s, analysis: limits"),
    )


def first_passed(release: Release, numbers: Numbers) -> None:
    """Let the first weight be gone through."""
    numbers.count(*WEAK)
    waiting = release.run(FIRST)
    event = ended(waiting)
    assert event["verdict"] == "pass", event
    release.resume(FIRST, waiting, event)


def replayed(release: Release, shape: Shape | None = None) -> list[tuple[str, str, tuple[str, ...]]]:
    found = replayed_of(shape or release.world.shape, release.events())
    return [(one.step, one.given, one.problems) for one in found]


def test_harm_too_small_for_each_weight_takes_the_traffic_back_and_is_replayed(
    release: Release, numbers: Numbers
) -> None:
    first_passed(release, numbers)
    waiting = release.run(SECOND)
    event = ended(waiting)
    assert event["verdict"] == "fail"
    assert event["reason"].startswith(
        "errors: harm is certain after 1 look and 2 at the weights before: 48 of 2000 (2.4 %) bad, of the "
        "old version 18 of 2000 (0.9 %)"
    )
    assert release.world.weights() == {"1.0.0": 100}
    assert replayed(release) == [(FIRST, "pass", ()), (SECOND, "fail", ())]
    with pytest.raises(AirflowFailException, match="harm is certain"):
        release.resume(SECOND, waiting, event)
    # A plan that an older relman stored has no such key: each weight was judged by itself.
    shape = release.world.shape
    old = [s.model_copy(update={"args": s.args | {"background": False}}) for s in shape.steps]
    before = replayed(release, shape.model_copy(update={"steps": tuple(old)}))
    assert [given for _, given, _ in before] == ["pass", ""]


def test_a_killed_triggerer_loses_no_look_of_either_weight_and_counts_none_twice(
    release: Release, numbers: Numbers
) -> None:
    first_passed(release, numbers)
    numbers.count((3, 300), (5, 300))
    waiting = release.run(SECOND)
    killed_after_a_look(release, waiting)
    (before,) = [e for e in looks(release) if e.step == SECOND]
    numbers.count((9, 1000), (24, 1000))
    event = ended(waiting)
    assert event["reason"].startswith(
        "errors: harm is certain after 2 looks and 2 at the weights before: 48 of 2000 (2.4 %) bad, of the "
        "old version 18 of 2000 (0.9 %)"
    )
    assert [e.data["look"] for e in looks(release) if e.step == SECOND] == [1, 2]
    assert before.data["metrics"][0]["verdict"] == "inconclusive"
    assert replayed(release) == [(FIRST, "pass", ()), (SECOND, "fail", ())]


def test_a_watch_that_could_not_read_the_looks_before_goes_on_with_them_when_it_can(
    release: Release, numbers: Numbers
) -> None:
    first_passed(release, numbers)
    waiting = release.run(SECOND)
    asked = asyncio.Event()

    async def begun_without() -> Any:
        with release.world.without_ledger():
            loop = asyncio.get_running_loop()
            numbers.asked = lambda: loop.call_soon_threadsafe(asked.set)
            task = asyncio.create_task(payload(stored(waiting)))
            await asked.wait()
        return await task

    event = asyncio.run(asyncio.wait_for(begun_without(), 60))
    assert event["verdict"] == "fail", event
    assert "at the weights before" in event["reason"]
    assert release.world.weights() == {"1.0.0": 100}


def test_a_held_release_is_looked_at_until_it_goes_on_or_its_numbers_are_bad(
    release: Release, numbers: Numbers
) -> None:
    numbers.count((9, 1000), (9, 1000))
    waiting = release.run(FIRST)
    release.person(Kind.RELEASE_HELD)

    def held_for_long() -> None:
        if len(looks(release)) == 3:  # one more than were planned
            numbers.count((18, 2000), (300, 2000))

    numbers.asked = held_for_long
    event = ended(waiting)
    assert event["verdict"] == "fail"
    assert release.world.weights() == {"1.0.0": 100}
    seen = [e.data["metrics"][0]["reason"].partition(":")[0] for e in looks(release)]
    assert seen == [
        "held after 1 look",
        "held after 2 looks",
        "held after 3 looks",
        "harm is certain after 4 looks",
    ]
    assert replayed(release) == [(FIRST, "fail", ())]


def asked_about(release: Release, numbers: Numbers) -> TaskDeferred:
    """Let the first weight end undecided, so that people are asked."""
    numbers.count((0, 200), (0, 9))
    waiting = release.run(FIRST)
    event = ended(waiting)
    assert event["verdict"] == "no_data"
    asked = release.resume(FIRST, waiting, event)
    assert isinstance(asked, TaskDeferred)
    return asked


def again(deferred: TaskDeferred) -> Any:
    """Let a triggerer run the trigger of what Airflow keeps of it."""
    trigger = type(deferred.trigger)(**deferred.trigger.serialize()[1])
    return asyncio.run(asyncio.wait_for(payload(trigger), 60))


def test_bad_numbers_while_people_are_asked_take_the_traffic_back_at_once(
    release: Release, numbers: Numbers
) -> None:
    asked = asked_about(release, numbers)
    numbers.count((1, 900), (200, 400))
    event = again(asked)
    assert event["verdict"] == "fail"
    assert release.world.weights() == {"1.0.0": 100}
    assert [e.data["verdict"] for e in release.events(Kind.ANALYSIS_FINISHED)] == ["no_data", "fail"]
    assert replayed(release) == [(FIRST, "fail", ())]
    unsaid = [e for e in release.events() if e.data.get("verdict") != "fail"]
    (found,) = replayed_of(release.world.shape, unsaid)
    assert found.problems[0].startswith("the numbers give fail after 3 looks (errors: harm is certain")
    with pytest.raises(AirflowFailException, match=r"harm is certain after 3 looks.*back at the old version"):
        release.resume(FIRST, asked, event)
    release.vote(FIRST)
    with pytest.raises(AirflowFailException, match="back at the old version"):
        release.run(FIRST, try_number=2)


def test_people_are_heard_while_the_numbers_are_looked_at(release: Release, numbers: Numbers) -> None:
    asked = asked_about(release, numbers)
    told = iter([lambda: release.vote(FIRST)])
    numbers.asked = lambda: next(told, lambda: None)()
    event = again(asked)
    assert event == {"state": "approved"}
    done = release.resume(FIRST, asked, event)
    assert done["message"] == "good at 20 %: undecided by the numbers, accepted by Alice"
    assert replayed(release) == [(FIRST, "no_data", ())]


def test_an_answer_does_not_call_off_a_taking_back_that_has_begun(
    release: Release, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_about(release, numbers)
    numbers.count((1, 900), (200, 400))
    away = iter(range(3))  # seconds, in which the answer is heard

    async def platform(environment: Any) -> Any:
        for n in away:
            if n == 0:
                release.vote(FIRST)
            raise PlatformUnavailable("away")
        return await async_platform_of(environment)

    monkeypatch.setattr(withdrawal, "async_platform_of", platform)
    event = again(asked)
    assert event["verdict"] == "fail"
    assert release.world.weights() == {"1.0.0": 100}
    assert replayed(release) == [(FIRST, "fail", ())]


def test_an_approval_makes_nothing_of_a_version_that_was_taken_back_meanwhile(
    release: Release, numbers: Numbers
) -> None:
    asked = asked_about(release, numbers)
    release.vote(FIRST)
    taken = NewEvent(
        kind=Kind.TRAFFIC_WITHDRAWN, key="taken", step=FIRST, environment="production", data={"reason": "bad"}
    )
    release.world.ledger.record(release.id, taken)
    with pytest.raises(AirflowFailException, match="back at the old version"):
        release.resume(FIRST, asked, {"state": "approved"})
