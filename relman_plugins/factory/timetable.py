"""When Airflow runs a train's DAG: a while before each departure, so that it is announced and settled.

Airflow stores it as JSON with the DAG, and shows its description and the next run. A run's data interval
ends at the departure. All that Airflow tells of the past is the interval of the last run, whose departure may
be days ahead. So the start of an interval says by which schedule it was made: its microseconds are a mark of
that. After another schedule's run all departures that are to come are run, as those of the new one may be
before it; a departure that has two runs by that starts one release all the same. The start is Airflow's
logical date, by which it tells the last run: each is later than the one before.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

from relman_plugins.errors import CalendarError
from relman_plugins.plan.train import Train
from relman_plugins.plan.words import duration

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction
    from airflow.utils.types import DagRunType

log = logging.getLogger(__name__)

JUST_NOW = timedelta(minutes=5)
"""A departure that is this recent when Airflow looks is made up for. With a longer time, a release would
start because somebody wrote a schedule; with none, one would be lost when the file is read between a
departure and its run."""

SECOND = timedelta(seconds=1)


class TrainTimetable(Timetable):
    """The departures of a train: ``schedule`` is that of a plan's shape."""

    def __init__(self, schedule: dict[str, Any]) -> None:
        self.schedule = schedule
        self.train = Train.of(schedule)
        self.can_be_scheduled = not self.train.departs.assets
        self.description = f"Train: {self.train.describe()}"[:1000]

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> TrainTimetable:
        """Make it of what ``serialize`` returned."""
        return cls(data["schedule"])

    def serialize(self) -> dict[str, Any]:
        """Return what makes this timetable again."""
        return {"schedule": self.schedule}

    @property
    def summary(self) -> str:
        """When it departs, in short."""
        return self.train.words

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Return no time at all: a run by hand is no departure."""
        return DataInterval.exact(run_after)

    def generate_run_id(
        self,
        *,
        run_type: DagRunType,
        run_after: pendulum.DateTime,
        data_interval: DataInterval | None,
        **extra: Any,
    ) -> str:
        """Name a run by its departure, and by how long before it the interval starts, to the second.

        Of the interval alone: Airflow may have planned it by an earlier schedule, and must never meet two
        intervals with one name. No two start within a second.
        """
        if data_interval is None or run_type == "manual":
            return super().generate_run_id(
                run_type=run_type, run_after=run_after, data_interval=data_interval, **extra
            )
        ahead = int((data_interval.end - data_interval.start).total_seconds())
        suffix = f"_{duration(ahead).replace(' ', '')}_ahead" if ahead else ""
        return run_type.generate_run_id(suffix=data_interval.end.isoformat() + suffix)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the run of the next departure; None when there is none in sight.

        What was missed by more than ``JUST_NOW`` is left out. A train that can't be followed has no runs.
        """
        now = datetime.now(UTC)
        since, last = now - JUST_NOW, last_automated_data_interval
        if last is not None and (_plain(last.end) <= now or last.start.microsecond == self._mark):
            since = max(since, _plain(last.end))
        try:
            departs = self.train.departs.before(now, since) or self.train.departs.after(max(now, since))
        except CalendarError as error:
            # Raised in the scheduler's loop it would hold up the DAGs of everybody.
            log.error("relman: the train %s can't be followed: %s", self.train.words, error)
            return None
        if departs is None or (restriction.latest is not None and departs > restriction.latest):
            return None
        begins = departs - self.train.lead
        start = begins.replace(microsecond=self._mark) - SECOND
        if last is not None and start < (later := _plain(last.start) + SECOND):
            start = later.replace(microsecond=self._mark)
            start += SECOND if start < later else timedelta()
        return DagRunInfo(
            run_after=pendulum.instance(begins),
            data_interval=DataInterval(pendulum.instance(start), pendulum.instance(departs)),
        )

    @cached_property
    def _mark(self) -> int:
        """Return what intervals of this schedule have as microseconds: of the times, and of the lead."""
        times = f"{self.train.departs.model_dump_json()} {self.train.lead.total_seconds()}"
        return 1 + int.from_bytes(hashlib.sha256(times.encode()).digest()[:8]) % 999_999


def _plain(at: datetime) -> datetime:
    """Return the same time in Python's own type: sums of pendulum's lose their zone where that is its UTC."""
    return datetime.fromtimestamp(at.timestamp(), UTC)
