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
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
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


class Runs:
    """What Airflow makes of a train's DAG: it reads the file now and then, and makes the runs that are due.

    As ``_create_dag_runs`` and ``_get_latest_runs_stmt`` of Airflow do. In its tables ids of runs and logical
    dates are there once.
    """

    def __init__(self) -> None:
        self.made: dict[Any, DataInterval] = {}
        self.ids: list[str] = []

    def next(self, dag: DAG, now: str, last: DataInterval | None) -> tuple[DagRunInfo | None, str]:
        """Return the run that comes after another, and its id."""
        timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
        with time_machine.travel(datetime.fromisoformat(f"{now}+00:00"), tick=False):
            run = timetable.next_dagrun_info(
                last_automated_data_interval=last, restriction=TimeRestriction(None, None, False)
            )
        if run is None:
            return None, ""
        named = {"run_after": run.run_after, "data_interval": run.data_interval}
        return run, timetable.generate_run_id(run_type=DagRunType.SCHEDULED, **named)

    def ahead(self, dag: DAG, now: str) -> tuple[str, str] | None:
        """Return when the next run begins, and its departure, as Airflow finds it when it reads the file."""
        run, _ = self.next(dag, now, self.made[max(self.made)] if self.made else None)
        return run and (f"{run.run_after:%Y-%m-%d %H:%M}", f"{run.data_interval.end:%Y-%m-%d %H:%M}")

    def at(self, dag: DAG, now: str) -> list[str]:
        """Make what is due; return the departures of the runs that are new."""
        departures = []
        run, run_id = self.next(dag, now, self.made[max(self.made)] if self.made else None)
        while run is not None and f"{run.run_after:%Y-%m-%d %H:%M}" <= now:
            assert run.logical_date not in self.made
            assert run_id not in self.ids
            assert not self.made or run.logical_date >= max(self.made) + timedelta(seconds=1)
            self.made[run.logical_date] = run.data_interval
            self.ids.append(run_id)
            departures.append(f"{run.data_interval.end:%d %H:%M}")
            run, run_id = self.next(dag, now, run.data_interval)
        return departures


@pytest.mark.parametrize(
    ("now", "first"), [("2026-11-25 12:00", "2026-12-01 09:00"), ("2026-11-24 09:03", "2026-11-24 09:00")]
)
def test_a_new_schedule_waits_for_its_time_unless_that_is_just_now(now: str, first: str) -> None:
    """10:00 on Tuesdays in Berlin is 09:00 UTC in winter."""
    assert Runs().ahead(train(), now) == (first, first)


def test_its_run_begins_when_there_is_something_to_announce_or_to_settle() -> None:
    dag, runs = train(announce="1d", cutoff="2h"), Runs()
    assert runs.ahead(dag, "2026-11-25 12:00") == ("2026-11-30 09:00", "2026-12-01 09:00")
    assert runs.at(dag, "2026-11-30 09:00") == ["01 09:00"]
    # The departure of a run that is there is not run again, however often Airflow asks meanwhile.
    assert runs.ahead(dag, "2026-11-30 10:00") == ("2026-12-07 09:00", "2026-12-08 09:00")


DAILY = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}


def test_of_departures_that_were_missed_only_one_just_now_is_made_up_for() -> None:
    runs = Runs()
    assert runs.at(train(**DAILY), "2026-11-20 09:00") == ["20 09:00"]
    assert runs.ahead(train(**DAILY), "2026-11-24 09:04") == ("2026-11-24 09:00",) * 2
    assert runs.ahead(train(**DAILY), "2026-11-24 09:06") == ("2026-11-25 09:00",) * 2


def test_a_longer_lead_or_another_time_loses_no_departure() -> None:
    runs = Runs()
    assert runs.at(train(**DAILY), "2026-11-30 09:00") == ["30 09:00"]
    assert runs.at(train(**DAILY, announce="1d"), "2026-11-30 10:00") == ["01 09:00"]
    assert runs.at(train(**DAILY, announce="1d", cutoff="2d"), "2026-11-30 11:00") == ["01 09:00", "02 09:00"]
    for run in runs.made.values():
        assert run.start <= datetime(2026, 11, 30, 11, tzinfo=UTC), "a task waits until its logical date"
    assert runs.ids[0] == "scheduled__2026-11-30T09:00:00+00:00"
    assert runs.at(train(days=["tue"], at="11:00"), "2026-12-01 10:00") == ["01 10:00"]


def test_a_run_is_named_by_its_departure_and_by_how_long_it_begins_before_it() -> None:
    runs = Runs()
    runs.at(train(announce="1d", cutoff="26h"), "2026-11-30 09:00")
    assert runs.ids == ["scheduled__2026-12-01T09:00:00+00:00_1d2h_ahead"]


@pytest.mark.parametrize(
    "changed",
    [
        {"days": ["mon", "tue"], "announce": "7d"},
        {"days": ["mon"], "announce": "7d"},
        {"days": ["mon", "tue"]},
        {"days": ["tue"], "at": "09:00", "announce": "7d"},
        DAILY | {"announce": "9d"},
    ],
)
def test_departures_that_a_schedule_gains_before_the_run_that_is_there_are_run_and_each_once(
    changed: dict[str, Any],
) -> None:
    runs = Runs()
    assert runs.at(train(announce="7d"), "2026-12-01 09:00") == ["01 09:00", "08 09:00"]
    gained = runs.at(train(**changed), "2026-12-02 12:00")
    for day in range(3, 23):
        for hour in (8, 9):
            gained += runs.at(train(**changed), f"2026-12-{day:02} {hour:02}:00")
    expected = train(**changed).timetable.train.departs.within(
        datetime(2026, 12, 2, 12, tzinfo=UTC), datetime(2026, 12, 22, tzinfo=UTC)
    )
    assert [f"{departs:%d %H:%M}" for departs in expected] == gained[: len(expected)]
    assert len(set(gained)) == len(gained)


def test_a_schedule_that_is_changed_back_runs_on() -> None:
    first, other, runs = train(announce="7d"), train(days=["mon"], announce="7d"), Runs()
    assert runs.at(first, "2026-12-02 09:00") == ["08 09:00"]
    assert runs.at(other, "2026-12-02 10:00") == ["07 09:00"]
    assert runs.at(first, "2026-12-02 11:00") == ["08 09:00"]
    assert runs.at(first, "2026-12-08 10:00") == ["15 09:00"]


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


def test_a_train_by_events_is_run_by_airflow_with_each_event_of_any_of_its_assets() -> None:
    spec = pipeline([{"environment": "a"}], schedule={"assets": ["shop-image", "web-image"]})
    dag = build_train(compile_shape(documents(spec, [environment("a")])), FakeDepart)
    served = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    assert served.asset_condition.as_expression() == {
        "any": [
            {"asset": {"uri": name, "name": name, "group": "asset"}} for name in ("shop-image", "web-image")
        ]
    }
    assert served.timetable.train.departs.assets == ("shop-image", "web-image")
    assert not served.can_be_scheduled
    restriction = TimeRestriction(None, None, False)
    assert served.next_dagrun_info(last_automated_data_interval=None, restriction=restriction) is None
    assert "departs with each event of shop-image, web-image" in served.description


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
