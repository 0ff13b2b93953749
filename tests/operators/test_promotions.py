"""Asset events: other DAGs follow what is promoted, and nothing else."""

from __future__ import annotations

import pytest

from relman_plugins.domain.event import Event, Kind
from relman_plugins.errors import LedgerUnavailable
from relman_plugins.steps.run import StepRun
from tests.operators.test_changing import FIRST, LAST, MONITOR, ROLLBACK, passed
from tests.steps.world import Release, World


def told(release: Release) -> list[tuple[str, dict[str, object]]]:
    """Return what the latest call of a task told."""
    return [(event.dest_asset_key.uri, event.extra) for event in release.promotions[-1]]


def test_the_step_after_which_the_new_version_is_the_stable_one_updates_the_environments_asset(
    world: World,
) -> None:
    world.live("1.0.0")
    release = world.open().approved()
    passed(release, FIRST)
    assert told(release) == []
    passed(release, LAST)
    assert told(release) == []
    passed(release, MONITOR)
    ((uri, extra),) = told(release)
    assert uri == "relman://production/checkout"
    assert extra == {
        "release": release.id,
        "pipeline": "checkout",
        "service": "checkout",
        "environment": "production",
        "version": "1.1.0",
        "digest": release.artifact.digest,
        "plan_hash": release.record.plan_hash,
    }
    # Killed between its end in the ledger and its end in Airflow, a step is run again.
    release.run(MONITOR, try_number=2)
    assert told(release) == [(uri, extra)]


def test_a_dry_run_updates_nothing(world: World) -> None:
    release = world.open(dry_run=True).finished("open", "build")
    release.run("staging.deploy")
    assert told(release) == []


def test_a_step_that_is_cleared_after_its_version_was_taken_back_tells_nothing(world: World) -> None:
    world.live("1.0.0")
    release = world.open().approved()
    for step in (FIRST, LAST, MONITOR):
        passed(release, step)
    release.run(ROLLBACK)
    assert release.world.weights() == {"1.0.0": 100}
    release.run(MONITOR, try_number=2)
    assert told(release) == []


def test_a_ledger_that_goes_away_at_the_very_end_undoes_no_promotion(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.live("1.0.0")
    release = world.open().approved()
    for step in (FIRST, LAST, MONITOR):
        passed(release, step)
    asked = StepRun.events

    def away(run: StepRun, *kinds: Kind) -> list[Event]:
        if Kind.RELEASE_CLOSED in kinds:
            raise LedgerUnavailable("away")
        return asked(run, *kinds)

    monkeypatch.setattr(StepRun, "events", away)
    assert release.run(MONITOR, try_number=2) is None
