"""An Airflow asset event for each promotion, so that other DAGs can follow releases."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import PROMOTIONS, promoted_uri

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pydantic import JsonValue

    from relman_plugins.steps.run import StepRun

log = logging.getLogger(__name__)


_SINCE = (Kind.TRAFFIC_WITHDRAWN, Kind.ROLLBACK_FINISHED, Kind.RELEASE_CLOSED)
"""After these a step that is run again has nothing to tell: what it promoted may be gone."""


def tell_promotion(context: Context, run: StepRun, *, again: bool) -> None:
    """Have Airflow update the environment's asset when this step has made the new version the stable one.

    The asset ``relman://ENVIRONMENT/SERVICE`` is named through the alias :data:`PROMOTIONS`: an outlet that
    is an asset itself would be updated by every success of the task, a dry run's and a mark's included. The
    event's ``extra``, all strings: ``release``, ``pipeline``, ``service``, ``environment``, ``version``,
    ``digest`` and ``plan_hash``.

    Args:
        context: Airflow's, of the task.
        run: the step, which has a recorded end.
        again: the end was recorded by an earlier try. It is told again, since that one may have been killed,
            but not once traffic was taken back or the release is closed.

    Nothing that goes wrong here is raised: the promotion is done, and a task that failed would undo it.
    """
    if not run.shape.promotes(run.step) or run.plan.options.dry_run:
        return
    try:
        if again and run.events(*_SINCE):
            return
        _tell(context, run)
    except Exception:
        log.exception("release %s: no asset event for %s", run.release_id, run.step.id)


def _tell(context: Context, run: StepRun) -> None:
    from airflow.sdk import Asset, AssetAlias

    environment = run.environment.name
    # Named by its URI: an asset that follows it by the URI alone has that name, and must be the same one.
    asset = Asset(promoted_uri(environment, run.service))
    extra: dict[str, JsonValue] = {
        "release": run.release_id,
        "pipeline": run.shape.pipeline,
        "service": run.service,
        "environment": environment,
        "version": run.artifact.version,
        "digest": run.artifact.digest,
        "plan_hash": run.release.plan_hash,
    }
    context["outlet_events"][AssetAlias(PROMOTIONS)].add(asset, extra=extra)
