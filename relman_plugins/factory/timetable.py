"""When Airflow runs a train's DAG: a while before each departure, so that it is announced and settled.

Airflow stores it as JSON with the DAG, and shows its description and the next run. A run's data interval
ends at the departure. Airflow has one run for each start of an interval, its logical date: it is the run's
beginning, and earlier by as many microseconds as the lead has seconds. Otherwise a train that gets a longer
lead would lose the departure whose run begins when one departed that had none.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

from relman_plugins.errors import CalendarError
from relman_plugins.plan.train import Train

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
        """Name a run by its departure, and by how long before it begins: two runs may be of one departure.

        Of the interval alone: Airflow may have planned it by an earlier schedule, and must never meet two
        intervals with one name.
        """
        if data_interval is None or run_type == "manual":
            return super().generate_run_id(
                run_type=run_type, run_after=run_after, data_interval=data_interval, **extra
            )
        ahead = (data_interval.end - data_interval.start).total_seconds()
        return run_type.generate_run_id(
            suffix=data_interval.end.isoformat() + (f"_{ahead}s_ahead" if ahead else "")
        )

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the run of the next departure; None when there is none in sight.

        What was missed by more than ``JUST_NOW`` is left out. A train that can't be followed has no runs.
        """
        now = datetime.now(UTC)
        since = now - JUST_NOW
        if last_automated_data_interval is not None:
            # Arithmetic with pendulum's own times loses their zone where that is Python's UTC.
            last = datetime.fromtimestamp(last_automated_data_interval.end.timestamp(), UTC)
            since = max(since, last)
        try:
            if since > now and self.train.departs.after(since - SECOND) != since:
                # The schedule was changed: a departure that is none any more hides none before it.
                since = now - JUST_NOW
            departs = self.train.departs.before(now, since) or self.train.departs.after(max(now, since))
        except CalendarError as error:
            # Raised in the scheduler's loop it would hold up the DAGs of everybody.
            log.error("relman: the train %s can't be followed: %s", self.train.words, error)
            return None
        if departs is None or (restriction.latest is not None and departs > restriction.latest):
            return None
        lead = self.train.lead
        begins = departs - lead
        logical = pendulum.instance(begins - timedelta(microseconds=round(lead.total_seconds())))
        return DagRunInfo(
            run_after=pendulum.instance(begins),
            data_interval=DataInterval(logical, pendulum.instance(departs)),
        )
