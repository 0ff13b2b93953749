"""The one task of a train: announces a departure, settles its version, and starts the release."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException

from relman_plugins import settings
from relman_plugins.domain.departure import TOO_LATE
from relman_plugins.domain.identity import dag_id_of, train_run_id
from relman_plugins.domain.parameter import LONGEST_TEXT
from relman_plugins.errors import ClientError, RelmanError, recordable
from relman_plugins.steps.departing import Departure
from relman_plugins.steps.sources import version_from, version_of
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.until import UntilTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import Entry
    from relman_plugins.plan.model import Shape
    from relman_plugins.plan.train import Source, Train


class DepartOperator(BaseOperator):
    """Let the train of a pipeline depart, by the pipeline's own DAG.

    That is at the end of the run's data interval, or at once where events have started the run.
    Waits without a worker. The release is started like a person's: by a run with a version, which opens it.
    That run's id is the departure's, so that no departure starts two.
    """

    def __init__(self, *, shape: Shape, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = shape

    def execute(self, context: Context) -> None:
        """Do what is due, then wait for what is next."""
        departs = self._departs(context["dag_run"])
        said: Entry | datetime
        try:
            said = self._departure(departs, context).proceed()
        except RelmanError as error:
            said = self._later(departs, context, error)
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

    def _departs(self, run: Any) -> datetime:
        """Return the departure that a run is: the end of its data interval, or when its events came."""
        by_event = bool(self._train.departs.assets)
        at = run.run_after if by_event else run.data_interval_end
        wanted = "asset_triggered" if by_event else "scheduled"
        if str(getattr(run.run_type, "value", run.run_type)) != wanted or at is None:
            when = "with events" if by_event else "at its time"
            raise AirflowFailException(
                f"a train departs {when} only. Start a release now with `relman release`, or add a "
                f"version to the next departure: `relman train add VERSION --train {self.shape.pipeline}`"
            )
        return datetime.fromtimestamp(at.timestamp(), UTC)

    @property
    def _train(self) -> Train:
        from relman_plugins.plan.train import Train

        return Train.of(self.shape.schedule or {})

    def _departure(self, departs: datetime, context: Context) -> Departure:
        from relman_plugins.hooks.ledger import ledger

        def find(source: Source) -> str:
            if source.kind != "event":
                return version_from(source, self.dag.fileloc)
            events = context["triggering_asset_events"].values()
            return version_of(event.extra for of_asset in events for event in of_asset)

        return Departure(
            ledger=ledger(), pipeline=self.shape.pipeline, train=self._train, departs=departs, find=find
        )

    def _later(self, departs: datetime, context: Context, error: RelmanError) -> Entry | datetime:
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
                self._departure(departs, context).delay(f"{recordable(error)}; {until}")
            return again
        what = "the version could not be found out: " if isinstance(error, ClientError) else ""
        reason = f"{what}{recordable(error)}"
        try:
            return self._departure(departs, context).fail(reason)
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
