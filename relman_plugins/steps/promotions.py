"""An Airflow asset event for each promotion, so that other DAGs can follow releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import PROMOTIONS, promoted_uri

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pydantic import JsonValue

    from relman_plugins.steps.run import StepRun


def tell_promotion(context: Context, run: StepRun) -> None:
    """Have Airflow update the environment's asset when this step has made the new version the stable one.

    The asset ``relman://ENVIRONMENT/SERVICE`` is named through the alias :data:`PROMOTIONS`: an outlet that
    is an asset itself would be updated by every success of the task, a dry run's and a mark's included. The
    event's ``extra``, all strings: ``release``, ``pipeline``, ``service``, ``environment``, ``version``,
    ``digest`` and ``plan_hash``. A step that Airflow runs again after it has ended tells it again.
    """
    if not run.shape.promotes(run.step) or run.plan.options.dry_run or not run.mine(Kind.STEP_FINISHED):
        return
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
