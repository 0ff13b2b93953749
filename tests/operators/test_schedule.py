"""Releases that a schedule starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from relman_plugins.ledger.api import ReleaseRecord
from tests.steps.world import World


@pytest.fixture(autouse=True)
def specs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = world.home / "specs" / "release_specs"
    (folder / "VERSION").write_text("1.1.0\n")
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", str(folder))


def scheduled(world: World, run_id: str, late: timedelta = timedelta()) -> ReleaseRecord | None:
    """Start a scheduled run's release, as Airflow would."""
    task: Any = world.dag.get_task("open")
    task.shape = world.shape.model_copy(update={"schedule": {"version_file": "VERSION"}})
    ti = SimpleNamespace(dag_id=world.dag.dag_id, run_id=run_id, try_number=1)
    due = datetime.now(UTC) - late
    run = SimpleNamespace(run_type="scheduled", triggering_user_name=None, run_after=due)
    task.execute({"ti": ti, "dag_run": run, "params": dict.fromkeys(("version",))})
    return world.ledger.release_of_run(world.dag.dag_id, run_id)


def test_a_dry_run_does_not_keep_the_schedule_from_releasing_the_version(world: World) -> None:
    world.open("1.1.0", "by-hand", dry_run=True)
    assert scheduled(world, "tuesday")
    with pytest.raises(AirflowSkipException, match="released before"):
        scheduled(world, "thursday")


def test_a_start_that_was_missed_long_ago_starts_nothing(world: World) -> None:
    with pytest.raises(AirflowFailException, match=r"was to start at .* UTC, 7d ago"):
        scheduled(world, "last-week", late=timedelta(days=7))
    assert world.ledger.releases() == []
    assert scheduled(world, "half-an-hour", late=timedelta(minutes=30))
