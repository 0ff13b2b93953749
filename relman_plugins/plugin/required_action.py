"""What Airflow's own page shows of a gate, and where to answer when that is not what it asks about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select

from relman_plugins import settings
from relman_plugins.domain.identity import gate_path
from relman_plugins.steps.subjects import shown_in

if TYPE_CHECKING:
    from relman_plugins.plugin.native import Target


def shown(wanted: Target) -> str | None:
    """Return the digest of what a task's Required Action shows; ``nothing`` when it names none.

    None when there is no Required Action yet: a gate opens in the ledger a moment before Airflow has its
    text, and whoever answers in that moment has seen no older one. Airflow keeps the first text of a task:
    one that asks again, for what would ship now, shows the old one.
    """
    query = (
        select(HITLDetail.body)
        .join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
        .where(
            TaskInstance.dag_id == wanted.dag_id,
            TaskInstance.run_id == wanted.run_id,
            TaskInstance.task_id == wanted.task_id,
            TaskInstance.map_index == -1,
        )
    )
    with create_session(scoped=False) as session:
        body = session.execute(query).one_or_none()
    return None if body is None else shown_in(body[0] or "")


def elsewhere(release_id: str, gate: str) -> str:
    """Say where a gate shows what it asks about now, and takes an approval of it."""
    page = f"{settings.base_url()}/{gate_path(release_id, gate)}"
    return (
        "Airflow's page keeps the first text of a gate that was cleared, and it is not what would ship now. "
        f"What is asked now: {page} - approve it there, or with `relman approve {release_id} --gate {gate}`, "
        "which shows it first, or in Slack. Rejecting works here too"
    )
