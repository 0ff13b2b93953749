"""The one task of a train: announces a departure, settles its version, and starts the release."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    DagRunTriggerException,
)

from relman_plugins import settings
from relman_plugins.domain.identity import dag_id_of, train_run_id
from relman_plugins.domain.parameter import LONGEST_TEXT
from relman_plugins.errors import ClientError, RelmanError, recordable
from relman_plugins.steps.departing import Departure
from relman_plugins.steps.sources import version_from
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.until import UntilTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import Entry
    from relman_plugins.plan.model import Shape


class DepartOperator(BaseOperator):
    """Let the train of a pipeline depart at the end of the run's data interval, by the pipeline's own DAG.

    Waits without a worker. The release is started like a person's: by a run with a version, which opens it.
    That run's id is the departure's, so that no departure starts two.
    """

    def __init__(self, *, shape: Shape, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = shape

    def execute(self, context: Context) -> None:
        """Do what is due, then wait for what is next."""
        from relman_plugins.hooks.ledger import ledger
        from relman_plugins.plan.train import Train

        run = context["dag_run"]
        if str(getattr(run.run_type, "value", run.run_type)) != "scheduled" or run.data_interval_end is None:
            raise AirflowFailException(
                "a train departs at its time only. Start a release now with `relman release`, or add a "
                f"version to the next departure: `relman train add VERSION --train {self.shape.pipeline}`"
            )
        departs = datetime.fromtimestamp(run.data_interval_end.timestamp(), UTC)
        ti, departure = context["ti"], None
        said: Entry | datetime
        try:
            departure = Departure(
                ledger=ledger(),
                pipeline=self.shape.pipeline,
                train=Train.of(self.shape.schedule or {}),
                departs=departs,
                find=partial(version_from, dag_file=self.dag.fileloc),
            )
            said = departure.proceed()
        except RelmanError as error:
            if (now := datetime.now(UTC)) < departs:
                # Tries are kept for the departure: whatever is away hours ahead of it may be back by then.
                self.log.warning("%s: looked at again in %s", recordable(error), self.retry_delay)
                said = min(now + self.retry_delay, departs)
            elif ti.try_number <= (ti.max_tries or 0):
                what = "the version is not known yet, tried again: " if isinstance(error, ClientError) else ""
                raise AirflowException(f"{what}{recordable(error)}") from error
            elif departure is None or not isinstance(error, ClientError):
                raise
            else:
                said = departure.fail(f"the version could not be found out: {recordable(error)}")
        if isinstance(said, datetime):
            self.log.info("%s departs at %s; next look at %s", self.shape.pipeline, departs, said)
            self.defer(
                trigger=UntilTrigger(until=said.isoformat(), **deferral(settings.minimum_deferral())),
                method_name="resume",
            )
        self._end(said, departs)

    def resume(self, context: Context, event: dict[str, Any]) -> None:
        """Look again: what is due is decided anew, whatever the event says."""
        self.execute(context)

    def _end(self, end: Entry, departs: datetime) -> None:
        who = end.actor.name or end.actor.id
        if end.action == "failed":
            raise AirflowFailException(f"no release was started: {end.reason}")
        if end.action != "departed":
            by = f" by {who}" if end.action in ("held", "skipped") else ""
            raise AirflowSkipException(f"no release was started: {end.action}{by}: {end.reason}")
        self.log.info("%s departs with %s: %s", self.shape.pipeline, end.version, end.reason)
        raise DagRunTriggerException(
            trigger_dag_id=dag_id_of(self.shape.pipeline),
            dag_run_id=train_run_id(departs),
            conf={
                "version": end.version,
                "changes": end.reason[:LONGEST_TEXT] if end.data.get("added") else "",
            },
            logical_date=None,
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=[],
            failed_states=[],
            poke_interval=60,
            deferrable=False,
        )
