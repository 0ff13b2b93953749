"""A canary with a fresh baseline beside it: what it is compared with, and how the baseline goes away."""

from __future__ import annotations

import asyncio

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain import look
from relman_plugins.domain.event import Kind
from relman_plugins.evidence.verdicts import replayed_of
from relman_plugins.platforms.sandbox.driver import SandboxPlatform
from relman_plugins.strategies import promoted
from tests.steps.rewriting import rewrite
from tests.steps.world import Numbers, Release, World, payload, told

FIRST, LAST, ROLLBACK = (f"production.{n}" for n in ("canary_50", "canary_100", "rollback"))
COMPARED = """\
  limits:
    connection: relman_metrics
    metrics: [{name: errors, query: "errors", max: 0.05}]
  numbers:
    judge: sequential
    undecided: pass
    connection: relman_metrics
    metrics:
      - name: errors
        bad: 'bad{v="$version$track"}[$window]'
        total: 'total{v="$version$track"}[$window]'
        max: 0.4
"""


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = COMPARED.partition("  numbers:")[0].replace("limits", "numbers")
    rewrite(
        monkeypatch,
        "checkout.yaml",
        (limits, COMPARED),
        ("interval: 1s, count: 2}", "interval: 1s, count: 2, baseline: fresh}"),
        ("monitor: {for: 2s, analysis: numbers", "monitor: {for: 2s, analysis: limits"),
    )


def counts(numbers: Numbers, **bad: int) -> None:
    """Let the old version have no fault in 500 requests, and the other two so many bad ones of 200."""
    for name, old in (("bad", 0), ("total", 500)):
        numbers.counts[name, "1.0.0"] = old
        numbers.counts[name, "1.0.0baseline"] = bad["baseline"] if name == "bad" else 200
        numbers.counts[name, "1.1.0"] = bad["new"] if name == "bad" else 200


def arms(release: Release) -> list[tuple[str, int, int] | None]:
    """Version, replicas and share of the old version, of the new one and of the baseline."""
    seen = release.world.seen()
    sides = (seen.stable, seen.candidate, seen.baseline)
    return [(s.revision.version, s.ready, s.weight) if s else None for s in sides]


def test_the_new_version_is_compared_with_the_baseline_and_not_with_the_old_fleet(
    release: Release, numbers: Numbers
) -> None:
    counts(numbers, baseline=40, new=40)
    waiting = release.run(FIRST)
    assert arms(release) == [("1.0.0", 1, 0), ("1.1.0", 1, 50), ("1.0.0", 1, 50)]
    again = release.run(FIRST, try_number=2)
    assert isinstance(again, TaskDeferred)
    assert arms(release) == [("1.0.0", 1, 0), ("1.1.0", 1, 50), ("1.0.0", 1, 50)]
    event = told(waiting)
    assert event["verdict"] == "pass", event
    (metric,) = release.events(Kind.ANALYSIS_MEASURED)[-1].data["metrics"]
    assert (metric["control"], metric["experiment"]) == ([40, 200], [40, 200])
    assert "40 of 200 (20 %) bad, of the fresh baseline 40 of 200 (20 %)" in metric["reason"]
    assert look.counts(metric) == "40/200 bad, fresh baseline 40/200"
    (replayed,) = replayed_of(release.world.shape, release.events())
    assert (replayed.given, replayed.problems) == ("pass", ())
    release.resume(FIRST, waiting, event)
    release.run(LAST)
    assert arms(release) == [("1.0.0", 1, 0), ("1.1.0", 1, 100), None]


def test_harm_takes_the_baseline_away_with_the_traffic(release: Release, numbers: Numbers) -> None:
    counts(numbers, baseline=1, new=90)
    waiting = release.run(FIRST)
    assert told(waiting)["verdict"] == "fail"
    assert arms(release) == [("1.0.0", 1, 100), None, None]


def test_what_makes_the_baseline_as_sick_as_the_new_version_does_not_pass(
    release: Release, numbers: Numbers
) -> None:
    counts(numbers, baseline=190, new=150)
    event = told(release.run(FIRST))
    assert event["verdict"] == "fail"
    assert event["reason"].endswith("at most 0.4 is allowed")
    assert arms(release) == [("1.0.0", 1, 100), None, None]


def test_an_abort_takes_it_away(release: Release, numbers: Numbers) -> None:
    counts(numbers, baseline=1, new=1)
    waiting = release.run(FIRST)
    release.person(Kind.ABORT_REQUESTED)
    assert asyncio.run(payload(waiting.trigger))["aborted"]
    assert arms(release) == [("1.0.0", 1, 100), None, None]


def test_a_rollback_takes_it_away_also_without_the_ledger(release: Release) -> None:
    release.run(FIRST)
    with release.world.without_ledger():
        release.run(ROLLBACK)
    assert arms(release) == [("1.0.0", 1, 100), None, None]


def test_the_first_version_has_none(world: World) -> None:
    first = world.open().approved()
    assert isinstance(first.run(FIRST), TaskDeferred)  # there is nothing to compare with: people are asked
    assert world.seen().matches(promoted(first.artifact, 1))


def test_a_platform_without_baselines_changes_nothing_and_says_so(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(SandboxPlatform, "baselines")
    with pytest.raises(AirflowFailException, match="runs no fresh baseline"):
        release.run(FIRST)
    assert arms(release) == [("1.0.0", 1, 100), None, None]
    assert Kind.CHANGE_STARTED not in release.kinds()
