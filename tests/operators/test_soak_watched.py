"""A soak whose numbers are watched: the old version is gone by then, and bad numbers bring it back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.evidence.verdicts import replayed_of
from relman_plugins.operators.soak import SoakOperator
from relman_plugins.triggers.feed import ledger_feed
from tests.steps.rewriting import rewrite
from tests.steps.world import Numbers, Release, World, payload, told

DEPLOY, SOAK, ROLLBACK = (f"production.{n}" for n in ("deploy", "soak", "rollback"))


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(
        monkeypatch,
        "checkout.yaml",
        ("    strategy: {canary: {steps: [50, 100], analysis: numbers, interval: 1s, count: 2}}\n", ""),
        ("    monitor: {for: 2s, analysis", "    soak: {for: 2s, analysis"),
    )


@pytest.fixture
def release(world: World) -> Release:
    """A release whose version has replaced the old one, and stays for a time."""
    world.live("1.0.0")
    release = world.open().approved()
    release.run(DEPLOY)
    assert world.weights() == {"1.1.0": 100}
    return release


def test_good_numbers_let_the_release_go_on(release: Release, numbers: Numbers) -> None:
    assert isinstance(release.task(SOAK), SoakOperator)
    waiting = release.run(SOAK)
    event = told(waiting)
    assert event["verdict"] == "pass"
    done = release.resume(SOAK, waiting, event)
    assert done["message"].startswith("good for 2 s at 100 %: errors: 0")
    assert [e.data["look"] for e in release.events(Kind.ANALYSIS_MEASURED)] == [1, 2]
    assert release.world.weights() == {"1.1.0": 100}
    assert release.world.ledger.locks.held(release.id) == []
    (again,) = replayed_of(release.world.shape, release.events())
    assert (again.step, again.given, again.problems) == (SOAK, "pass", ())


def test_bad_numbers_bring_the_old_version_back_before_any_task_runs(
    release: Release, numbers: Numbers
) -> None:
    waiting = release.run(SOAK)
    numbers.value = 0.5
    event = told(waiting)
    assert event["verdict"] == "fail"
    assert release.world.weights() == {"1.0.0": 100}
    assert release.events(Kind.TRAFFIC_WITHDRAWN)[0].step == SOAK
    with pytest.raises(AirflowFailException, match="the traffic is back at the old version"):
        release.resume(SOAK, waiting, event)
    assert release.run(ROLLBACK)["message"].startswith("rolled back: 1.0.0 has all the traffic")
    assert release.world.ledger.locks.held(release.id) == []


def test_another_try_looks_for_what_is_left_of_the_time(release: Release) -> None:
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    begun = NewEvent(
        kind=Kind.STEP_STARTED, key=f"{release.id}:{SOAK}:lost:started", step=SOAK, at=an_hour_ago
    )
    release.world.ledger.record(release.id, begun)
    assert told(release.run(SOAK))["verdict"] == "pass"
    assert [e.data["look"] for e in release.events(Kind.ANALYSIS_MEASURED)] == [1]
    (again,) = replayed_of(release.world.shape, release.events())
    assert (again.given, again.problems) == ("pass", ())


def test_no_numbers_ask_people(release: Release, numbers: Numbers) -> None:
    numbers.value = None
    waiting = release.run(SOAK)
    event = told(waiting)
    assert event["verdict"] == "no_data"
    asked = release.resume(SOAK, waiting, event)
    assert isinstance(asked, TaskDeferred)
    assert release.world.weights() == {"1.1.0": 100}
    release.vote(SOAK)
    assert "accepted by Alice" in release.resume(SOAK, asked, {"state": "approved"})["message"]


def test_an_abort_brings_the_old_version_back_long_before_the_next_look(release: Release) -> None:
    watching = release.run(SOAK).trigger
    watching.watch = watching.watch.model_copy(update={"interval_s": 3600.0})

    async def aborted() -> Any:
        waiting = asyncio.create_task(payload(watching))
        await (await ledger_feed()).grown(30)  # it waits, and so the ledger is polled
        release.person(Kind.ABORT_REQUESTED)
        return await asyncio.wait_for(waiting, 10)

    assert asyncio.run(aborted())["aborted"]
    assert release.world.weights() == {"1.0.0": 100}
    assert release.events(Kind.ANALYSIS_MEASURED) == []
