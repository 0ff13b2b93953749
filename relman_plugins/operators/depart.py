"""The one task of a train: announces a departure, settles its version, and starts the release."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException

from relman_plugins import settings
from relman_plugins.domain.departure import TOO_LATE
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
        run = context["dag_run"]
        if str(getattr(run.run_type, "value", run.run_type)) != "scheduled" or run.data_interval_end is None:
            raise AirflowFailException(
                "a train departs at its time only. Start a release now with `relman release`, or add a "
                f"version to the next departure: `relman train add VERSION --train {self.shape.pipeline}`"
            )
        departs = datetime.fromtimestamp(run.data_interval_end.timestamp(), UTC)
        said: Entry | datetime
        try:
            said = self._departure(departs).proceed()
        except RelmanError as error:
            said = self._later(departs, error)
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

    def _departure(self, departs: datetime) -> Departure:
        from relman_plugins.hooks.ledger import ledger
        from relman_plugins.plan.train import Train

        return Departure(
            ledger=ledger(),
            pipeline=self.shape.pipeline,
            train=Train.of(self.shape.schedule or {}),
            departs=departs,
            find=partial(version_from, dag_file=self.dag.fileloc),
        )

    def _later(self, departs: datetime, error: RelmanError) -> Entry | datetime:
        """Return when to look again, whatever is away; or the departure's end, when it would be too late.

        No try is used up: those are for a worker that is lost, and for Airflow when it can't start the run.
        """
        now = datetime.now(UTC)
        again = now + self.retry_delay
        if again <= departs + TOO_LATE:
            self.log.warning("%s: looked at again in %s", recordable(error), self.retry_delay)
            if now < departs:
                return min(again, departs)
            until = f"tried again until {departs + TOO_LATE:%H:%M} UTC"
            with suppress(RelmanError):  # while the ledger is away, nothing can be told
                self._departure(departs).delay(f"{recordable(error)}; {until}")
            return again
        what = "the version could not be found out: " if isinstance(error, ClientError) else ""
        reason = f"{what}{recordable(error)}"
        try:
            return self._departure(departs).fail(reason)
        except RelmanError as unrecorded:
            # Housekeeping tells of what has begun and has no end, when the ledger is back.
            raise AirflowFailException(f"no release was started: {reason}") from unrecorded

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
