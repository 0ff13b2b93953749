"""The first step: the release gets its id, and its plan is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from relman_plugins import __version__, settings, telemetry
from relman_plugins.domain.departure import TOO_LATE
from relman_plugins.domain.identity import Actor, departure_of
from relman_plugins.domain.parameter import FORM_FIELDS
from relman_plugins.errors import PlanError, Refused
from relman_plugins.plan.model import INVALID_TAG, Options
from relman_plugins.plan.remembered import remember
from relman_plugins.plan.words import duration
from relman_plugins.steps.base import ReleaseStepOperator
from relman_plugins.steps.paths import specs_folder
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import Entry, Ledger

MINUTE = timedelta(minutes=1)


class OpenReleaseOperator(ReleaseStepOperator):
    """Open the release of this run: derive its id, store the whole plan in the ledger. Takes no lock.

    Idempotent by run: a second try finds the release that the first one opened, with the plan it stored then.
    """

    def start(self, context: Context) -> StepRun:
        """Open the release, or find it when it is open already."""
        from relman_plugins.hooks.ledger import ledger
        from relman_plugins.spec.api import person_of  # all that reads specs; one task of a release needs it

        ti, dag_run = context["ti"], context["dag_run"]
        book = ledger()
        if book.release_of_run(ti.dag_id, ti.run_id) is None:
            if INVALID_TAG in self.dag.tags:
                raise AirflowFailException(
                    f"the spec of {self.shape.pipeline} is broken or gone: only releases in flight go on. "
                    "Correct the file (`relman validate` shows what is wrong), then start the release again"
                )
            user = getattr(dag_run, "triggering_user_name", None)
            departed = None if user else _departed(book, self.shape.pipeline, ti.run_id)
            known = person_of(specs_folder(self.dag.fileloc), user) if user else None
            actor = (
                Actor(kind="person", id=user, name=user, via="airflow", slack=known.slack if known else "")
                if user
                else _starter(departed)
            )
            from relman_plugins.plan.options import plan_release  # once in a release, and not in its parses

            fields = (*FORM_FIELDS, *(p.name for p in self.shape.parameters))
            conf = {name: context["params"].get(name) for name in fields}
            if departed is not None and conf["version"] != departed.version:
                raise AirflowFailException(
                    f"the train departed with {departed.version}, and this run is of {conf['version']!r}"
                )
            try:
                book.open_release(
                    plan=plan_release(self.shape, self._options(conf)),
                    dag_id=ti.dag_id,
                    run_id=ti.run_id,
                    started_by=actor,
                    conf=conf,
                    trace_id=telemetry.trace_id(),
                    made_with=_made_with(ti) | ({"train": _ticket(departed)} if departed else {}),
                    spec=self._spec(),
                    # Of departures that waited for a paused DAG only the first brings what a source gave.
                    once=departed is not None and not departed.data.get("added"),
                )
            except Refused as error:
                raise AirflowFailException(str(error)) from error
            telemetry.count("release.opened", pipeline=self.shape.pipeline)
            remember(settings.shapes_folder(), self.shape)
        return super().start(context)

    def act(self, context: Context, run: StepRun) -> str:
        """Nothing is left to do."""
        self.log.info("plan %s", run.release.plan_hash)
        return f"release {run.release_id} of {run.plan.options.version} is open"

    def _spec(self) -> dict[str, Any] | None:
        """Return what the spec's digest is of, for the record; None when the files are others by now."""
        from relman_plugins.spec.api import load_pipeline

        found = load_pipeline(specs_folder(self.dag.fileloc) / f"{self.shape.pipeline}.yaml").documents
        return found.content if found is not None and found.digest == self.shape.spec_digest else None

    def _options(self, conf: dict[str, Any]) -> Options:
        from relman_plugins.plan.options import options_of

        try:
            return options_of(self.shape, conf)
        except PlanError as error:
            raise AirflowFailException(str(error)) from error


def _departed(book: Ledger, pipeline: str, run_id: str) -> Entry | None:
    """Return the departure that this run is; None for a run that no train has started.

    Whoever starts a run may give it any id: only the record says that a train did.
    """
    departs = departure_of(run_id)
    end = book.trains.ended(pipeline, departs) if departs is not None else None
    if departs is None or end is None or end.action != "departed":
        return None
    late = book.now() - departs
    if late > TOO_LATE:
        ago, limit = duration(late // MINUTE * 60), duration(TOO_LATE.total_seconds())
        raise AirflowFailException(
            f"this release was to start at {departs:%Y-%m-%d %H:%M} UTC, {ago} ago; a departure is made up "
            f"for within {limit}, not later. Trigger the DAG with the version if it is still wanted"
        )
    return end


def _starter(departed: Entry | None) -> Actor:
    """Return who started the release: whoever added the version to the train, else the schedule itself.

    Whoever chose what is released must not approve it where starters must not.
    """
    if departed is None:
        return Actor(id="airflow", via="airflow")
    by = departed.data.get("by")
    return Actor.model_validate(by | {"via": "schedule"} if by else {"id": "schedule", "via": "schedule"})


def _ticket(departed: Entry) -> dict[str, Any]:
    return {
        "departs": departed.departs.isoformat() if departed.departs else None,
        "version": departed.version,
        "reason": departed.reason,
    }


def _made_with(ti: Any) -> dict[str, Any]:
    """Return what runs the release: versions of relman and Airflow, the DAG's bundle and its version."""
    from importlib.metadata import version

    bundle = getattr(ti, "bundle_instance", None)
    return {
        "relman": __version__,
        "airflow": version("apache-airflow-core"),
        "bundle": {"name": bundle.name, "version": bundle.version} if bundle else None,
        "dag_version_id": str(ti.dag_version_id) if getattr(ti, "dag_version_id", None) else None,
    }
