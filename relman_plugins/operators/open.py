"""The first step: the release gets its id, and its plan is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from relman_plugins import __version__, settings, telemetry
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.parameter import FORM_FIELDS
from relman_plugins.errors import PlanError
from relman_plugins.plan.model import INVALID_TAG, Options
from relman_plugins.plan.options import options_of, plan_release
from relman_plugins.plan.remembered import remember
from relman_plugins.plan.words import duration
from relman_plugins.steps.base import ReleaseStepOperator
from relman_plugins.steps.paths import spec_path, specs_folder
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context

VERSION_FILE_LIMIT = 1024
MINUTE = timedelta(minutes=1)
TOO_LATE = timedelta(hours=1)
"""A scheduled start that comes later than this is none. Airflow makes up for the last one when a DAG is
unpaused or the scheduler was down, and nobody expects last week's release on a Monday morning."""


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
            scheduled = str(getattr(dag_run.run_type, "value", dag_run.run_type)) == "scheduled"
            if scheduled:
                _in_time(dag_run.run_after)
            user = getattr(dag_run, "triggering_user_name", None)
            known = person_of(specs_folder(self.dag.fileloc), user) if user else None
            actor = (
                Actor(kind="person", id=user, name=user, via="airflow", slack=known.slack if known else "")
                if user
                else Actor(
                    id="schedule" if scheduled else "airflow", via="schedule" if scheduled else "airflow"
                )
            )
            fields = (*FORM_FIELDS, *(p.name for p in self.shape.parameters))
            conf = {name: context["params"].get(name) for name in fields}
            book.open_release(
                plan=plan_release(self.shape, self._options(conf)),
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                started_by=actor,
                conf=conf,
                trace_id=telemetry.trace_id(),
                made_with=_made_with(ti),
                spec=self._spec(),
            )
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
        try:
            return options_of(self.shape, conf | {"version": conf["version"] or self._next_version()})
        except PlanError as error:
            raise AirflowFailException(str(error)) from error

    def _next_version(self) -> str:
        """Return the version that a scheduled run releases; skip the run when it was released before."""
        from relman_plugins.hooks.ledger import ledger

        file = (self.shape.schedule or {}).get("version_file")
        if not file:
            raise AirflowFailException(
                "no version was given, and the pipeline has no schedule that names one"
            )
        path: Path = spec_path(file, self.dag.fileloc)
        try:
            with path.open(encoding="utf-8") as text:
                version = text.read(VERSION_FILE_LIMIT).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AirflowFailException(f"cannot read the version to release from {file}: {error}") from error
        known = ledger().releases(pipeline=self.shape.pipeline, limit=200)
        if any(r.version == version and not r.plan.options.dry_run for r in known):
            raise AirflowSkipException(f"nothing new: {version} in {file} was released before")
        return version


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


def _in_time(due: datetime) -> None:
    late = datetime.now(UTC) - due
    if late > TOO_LATE:
        ago, limit = duration(late // MINUTE * 60), duration(TOO_LATE.total_seconds())
        raise AirflowFailException(
            f"this release was to start at {due:%Y-%m-%d %H:%M} UTC, {ago} ago; a scheduled start is made up "
            f"for within {limit}, not later. Trigger the DAG with the version if it is still wanted"
        )
