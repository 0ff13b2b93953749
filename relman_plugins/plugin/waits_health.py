"""How many waits Airflow's triggerers have, and for how many there is room."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.configuration import conf
from airflow.jobs.job import Job
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from sqlalchemy import func, select


def waits() -> dict[str, int]:
    """Return the triggerers that live, what one of them takes, the waits, and those that nobody has.

    ``capacity`` is what this API server's configuration says; a triggerer may have another.
    """
    since = datetime.now(UTC) - timedelta(
        seconds=conf.getfloat("triggerer", "triggerer_health_check_threshold", fallback=30)
    )
    alive = select(Job.id).where(
        Job.job_type == "TriggererJob", Job.state == "running", Job.latest_heartbeat > since
    )
    with create_session(scoped=False) as session:
        triggerers = set(session.scalars(alive))
        count = select(Trigger.triggerer_id, func.count()).group_by(Trigger.triggerer_id)
        of = dict(session.execute(count).tuples().all())
    return {
        "triggerers": len(triggerers),
        "capacity": conf.getint("triggerer", "capacity"),
        "waits": sum(of.values()),
        "nobody": sum(number for owner, number in of.items() if owner not in triggerers),
    }
