"""A train's DAG, and when Airflow runs it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from airflow.plugins_manager import get_timetables_plugins
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.utils.types import DagRunType
from pendulum import instance

from relman_plugins.factory.loader import load_dags
from relman_plugins.factory.timetable import TrainTimetable
from relman_plugins.factory.train import build_train
from relman_plugins.plan.compile import compile_shape
from tests.factory.fakes import CATALOG, FakeMaintenance, FakeStep
from tests.plan.make import documents, environment, pipeline

SCHEDULE = {"days": ["tue"], "at": "10:00", "zone": "Europe/Berlin", "version": {"file": "../shop/VERSION"}}


class FakeDepart(FakeStep):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(step_id="depart", **kwargs)


def train(**more: Any) -> DAG:
    spec = pipeline([{"environment": "a"}], schedule=SCHEDULE | more)
    return build_train(compile_shape(documents(spec, [environment("a")])), FakeDepart)


def next_run(dag: DAG, now: str, last: str = "") -> tuple[str, str] | None:
    served = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    before = None
    if last:
        at = instance(datetime.fromisoformat(last))
        before = DataInterval(at, at)
    with time_machine.travel(datetime.fromisoformat(f"{now}+00:00"), tick=False):
        run = served.timetable.next_dagrun_info(
            last_automated_data_interval=before, restriction=TimeRestriction(None, None, False)
        )
    return run and (f"{run.run_after:%Y-%m-%d %H:%M}", f"{run.data_interval.end:%Y-%m-%d %H:%M}")


@pytest.mark.parametrize(
    ("now", "first"), [("2026-11-25 12:00", "2026-12-01 09:00"), ("2026-11-24 09:03", "2026-11-24 09:00")]
)
def test_a_new_schedule_waits_for_its_time_unless_that_is_just_now(now: str, first: str) -> None:
    """10:00 on Tuesdays in Berlin is 09:00 UTC in winter."""
    assert next_run(train(), now) == (first, first)


def test_its_run_begins_when_there_is_something_to_announce_or_to_settle() -> None:
    dag = train(announce="1d", cutoff="2h")
    assert next_run(dag, "2026-11-25 12:00") == ("2026-11-30 09:00", "2026-12-01 09:00")
    # The departure of a run that is there is not run again, however often Airflow asks meanwhile.
    assert next_run(dag, "2026-11-30 10:00", "2026-12-01T09:00+00:00")[1] == "2026-12-08 09:00"


def test_of_departures_that_were_missed_only_one_just_now_is_made_up_for() -> None:
    often = train(days=["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
    assert next_run(often, "2026-11-24 09:04", "2026-11-20T09:00+00:00")[1] == "2026-11-24 09:00"
    assert next_run(often, "2026-11-24 09:06", "2026-11-20T09:00+00:00")[1] == "2026-11-25 09:00"


def runs(dag: DAG, now: str, last: DataInterval | None = None) -> tuple[DataInterval, str]:
    """Return the interval and the id of the run that Airflow would make next."""
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    with time_machine.travel(datetime.fromisoformat(f"{now}+00:00"), tick=False):
        run = timetable.next_dagrun_info(
            last_automated_data_interval=last, restriction=TimeRestriction(None, None, False)
        )
    named = {"run_after": run.run_after, "data_interval": run.data_interval}
    return run.data_interval, timetable.generate_run_id(run_type=DagRunType.SCHEDULED, **named)


def test_a_longer_lead_or_another_time_loses_no_departure() -> None:
    daily = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
    monday, monday_id = runs(train(**daily), "2026-11-30 08:00")
    assert (f"{monday.end:%d %H}", monday_id) == ("30 09", "scheduled__2026-11-30T09:00:00+00:00")
    ahead, ahead_id = runs(train(**daily, announce="1d"), "2026-11-30 10:00", monday)
    longer, longer_id = runs(train(**daily, announce="1d", cutoff="2d"), "2026-11-30 10:00", monday)
    assert {f"{run.end:%d %H}" for run in (ahead, longer)} == {"01 09"}
    assert len({run.start for run in (monday, ahead, longer)}) == 3, "the logical date of a run is its own"
    assert len({monday_id, ahead_id, longer_id}) == 3
    assert ahead_id == "scheduled__2026-12-01T09:00:00+00:00_86400.0864s_ahead"
    assert ahead.start <= ahead.end - timedelta(days=1), "a task waits until its logical date"
    later, later_id = runs(train(days=["tue"], at="11:00", announce="1h"), "2026-11-30 10:00")
    earlier, earlier_id = runs(train(days=["tue"]), "2026-11-30 10:00")
    assert later.start != earlier.start
    assert later_id != earlier_id


def test_a_departure_that_is_none_any_more_hides_none_before_it() -> None:
    weekly = train(announce="1d")
    tuesday, _ = runs(weekly, "2026-11-30 09:00")
    moved, _ = runs(train(at="09:00", announce="1d"), "2026-11-30 09:30", tuesday)
    assert f"{moved.end:%d %H}" == "01 08"
    assert f"{runs(weekly, '2026-11-30 09:30', tuesday)[0].end:%d %H}" == "08 09"


def test_a_run_by_hand_has_the_id_that_airflow_gives_it() -> None:
    at = instance(datetime(2026, 11, 30, tzinfo=UTC))
    named = {"run_after": at, "data_interval": DataInterval.exact(at)}
    said = train().timetable.generate_run_id(run_type=DagRunType.MANUAL, **named)
    assert said == "manual__2026-11-30T00:00:00+00:00"


def test_airflow_shows_when_and_with_what_it_departs() -> None:
    dag = train(cutoff="2h")
    served = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert served.timetable.summary == "Tue at 10:00 (Europe/Berlin)"
    assert served.timetable.description == (
        "Train: departs Tue at 10:00 (Europe/Berlin) with what ../shop/VERSION says, unless somebody adds "
        "another version; settled 2h before"
    )
    assert (served.dag_id, served.description[:14]) == ("train__shop", "Train of shop:")
    assert "relman train hold shop" in dag.doc_md


def test_airflow_finds_the_timetable_through_the_plugin() -> None:
    assert TrainTimetable in get_timetables_plugins().values()


def test_a_train_that_cannot_be_followed_has_no_run_and_raises_nothing_in_the_scheduler(caplog: Any) -> None:
    broken = {"departs": {"cron": "H 1 * * *"}, "words": "at a time by chance"}
    found = TrainTimetable(broken).next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, False)
    )
    assert found is None
    assert "at a time by chance can't be followed" in caplog.text


def test_the_last_departure_is_before_the_end_of_the_dag() -> None:
    end = instance(datetime.now(UTC) - timedelta(days=1))
    found = train().timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, end, False)
    )
    assert found is None


SPEC = """\
apiVersion: relman/v1
kind: ReleasePipeline
metadata: {name: timed, owner: tests}
artifact: {source: ..}
stages: [{environment: live}]
schedule: {cron: "0 9 * * *", zone: UTC}
"""
LIVE = """\
apiVersion: relman/v1
kind: Environment
metadata: {name: live, owner: tests}
platform: sandbox
connection: relman_sandbox
replicas: 1
"""


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, {"release__timed", "train__timed", "relman_maintenance", "relman_rollback"}),
        ("train__timed", {"train__timed"}),
        ("release__timed", {"release__timed"}),
        ("train__../timed", set()),
    ],
)
def test_the_loader_builds_it_beside_the_pipelines_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str | None, found: set[str]
) -> None:
    folder = tmp_path / "release_specs"
    (folder / "environments").mkdir(parents=True)
    (folder / "timed.yaml").write_text(SPEC)
    (folder / "environments" / "live.yaml").write_text(LIVE)
    if wanted:
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", wanted)
    dags: dict[str, DAG] = {}
    result = load_dags(
        dags, folder, catalog=CATALOG, maintenance_operator=FakeMaintenance, train_operator=FakeDepart
    )
    assert set(dags) == found
    assert result.invalid == ()
    (folder / "timed.yaml").write_text(SPEC.replace("cron", "corn"))
    dags.clear()
    assert "train__timed" not in (load_dags(dags, folder, catalog=CATALOG), dags)[1], (
        "no train of a broken spec"
    )
