"""The message that stands for a release in its channel: edited in place as the release goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relman_plugins.domain.event import Event, Kind
from relman_plugins.notifications.release import release_message
from relman_plugins.plan.model import ReleasePlan
from relman_plugins.testing.slack import plain as read
from relman_plugins.testing.slack_rules import check_message
from tests.notifications.telling import ALICE, REVISION, STABLE, event


def parent(plan: ReleasePlan, *events: Event) -> str:
    told = release_message("checkout-1.1.0-1", plan, events)
    check_message(told.text, told.blocks, None)
    return read({"text": told.text, "blocks": told.blocks})


def test_the_parent_is_a_stage_list_that_follows_the_release(plan: Callable[..., ReleasePlan]) -> None:
    p = plan("1.1.0")
    happened = [event(Kind.RELEASE_OPENED, None)]
    assert "▫️ build\n▫️ qa\n▫️ production" in parent(p, *happened)
    happened += [
        event(Kind.ARTIFACT_BUILT, "build", revision=REVISION),
        event(
            Kind.CHANGE_FINISHED, "qa.deploy", desired={"stable": REVISION}, stable=REVISION, promoted=True
        ),
    ]
    assert "✅ build\n🔵 qa – 1.1.0 is live\n▫️ production" in parent(p, *happened)
    happened += [event(Kind.SUITE_FINISHED, "qa.unit", suite="unit", tests=4, failures=0, passed=True)]
    assert "✅ qa – 1.1.0 is live, 4 tests" in parent(p, *happened)
    happened += [event(Kind.GATE_OPENED, "production.approval", people=[{"id": "alice", "name": "Alice"}])]
    waiting = parent(p, *happened)
    assert "✋ production – waits for Alice" in waiting
    assert waiting.startswith("✋ checkout 1.1.0\nproduction waits for Alice")
    happened += [event(Kind.GATE_DECIDED, "production.approval", state="approved")]
    shifted = {"desired": {"stable": STABLE, "candidate": REVISION, "candidate_weight": 10}}
    happened += [event(Kind.CHANGE_FINISHED, "production.canary_10", **shifted)]
    assert "🔵 production – 1.1.0 gets 10 %" in parent(p, *happened)
    good = [
        *happened,
        event(Kind.ANALYSIS_FINISHED, "production.canary_10", verdict="pass"),
        event(
            Kind.CHANGE_FINISHED,
            "production.canary_100",
            desired={"stable": REVISION},
            stable=REVISION,
            promoted=True,
        ),
        event(Kind.RELEASE_CLOSED, "close", outcome="succeeded"),
    ]
    assert "✅ checkout 1.1.0\nsucceeded" in parent(p, *good)
    assert "✅ production – 1.1.0 is live" in parent(p, *good)
    assert "✅ production – 1.1.0 is live" in parent(p, *good[:-1]), "a stage is done without its way back"
    bad = [
        *happened,
        event(Kind.ANALYSIS_FINISHED, "production.canary_10", verdict="fail"),
        event(Kind.TRAFFIC_WITHDRAWN, "production.canary_10", reason="errors"),
        event(Kind.RELEASE_CLOSED, "close", outcome="rolled_back", reason="errors"),
    ]
    assert "↩️ checkout 1.1.0\nrolled back: errors" in parent(p, *bad)
    assert "↩️ production – traffic is back" in parent(p, *bad)


@pytest.mark.parametrize(
    ("last", "mark"),
    [
        (event(Kind.STEP_FAILED, "qa.deploy", message="no"), "❌ qa"),
        (event(Kind.STEP_REFUSED, "qa.deploy", message="no"), "⛔ qa"),
        (
            event(Kind.SUITE_FINISHED, "qa.unit", suite="unit", tests=1, failures=1, passed=False),
            "❌ qa – 1 test, 1 failed",
        ),
        (event(Kind.GATE_DECIDED, "production.approval", state="rejected"), "⛔ production"),
    ],
)
def test_the_parent_shows_where_it_stopped(plan: Callable[..., ReleasePlan], last: Event, mark: str) -> None:
    assert mark in parent(plan("1.1.0"), event(Kind.RELEASE_OPENED, None), last)


def test_a_step_that_succeeds_at_its_second_try_is_not_shown_as_failed(
    plan: Callable[..., ReleasePlan],
) -> None:
    failed = event(Kind.STEP_FAILED, "build", message="no")
    assert "❌ build" in parent(plan("1.1.0"), failed)
    assert "✅ build" in parent(plan("1.1.0"), failed, event(Kind.ARTIFACT_BUILT, "build", revision=REVISION))


def test_holding_and_aborting_show_until_they_end(plan: Callable[..., ReleasePlan]) -> None:
    held = event(Kind.RELEASE_HELD, None, actor=ALICE)
    assert "held by Alice" in parent(plan("1.1.0"), held)
    assert "on its way" in parent(plan("1.1.0"), held, event(Kind.RELEASE_RESUMED, None))
    assert "abort asked for by Alice" in parent(
        plan("1.1.0"), held, event(Kind.ABORT_REQUESTED, None, actor=ALICE)
    )
