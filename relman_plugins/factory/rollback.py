"""The DAG that rolls back a release that has ended, for whoever asked for it."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from relman_plugins.domain.identity import ROLLBACK_DAG_ID
from relman_plugins.factory.builder import GOING_BACK_FIRST
from relman_plugins.factory.catalog import ROLLBACK, OperatorType, operator_type

RETRIES = 40
RETRY_DELAY = timedelta(seconds=15)
"""A platform may be away for ten minutes; after that much may have changed, and a person has to ask again."""

_DOCS = """\
Takes an environment back to what was there before a release that has ended, because somebody asked for it:

    relman rollback RELEASE --reason "…"

asks whether they may, records who asks and why, and starts this DAG. Triggering it by hand does nothing and
fails: the right to start a run here says nothing about the right to change an environment.

A release that is still under way is stopped with `relman abort`.
"""


def build_rollback(operator: str | OperatorType = ROLLBACK) -> DAG:
    """Build the ``relman_rollback`` DAG.

    Raises:
        ImportError: The operator cannot be imported.
    """
    dag = DAG(
        ROLLBACK_DAG_ID,
        description="Rolls back releases that have ended, on request",
        schedule=None,
        catchup=False,
        max_active_runs=16,
        is_paused_upon_creation=False,
        default_args={"owner": "relman"},
        tags=["relman"],
        doc_md=_DOCS,
    )
    operator_type(operator)(
        task_id="roll_back",
        retries=RETRIES,
        retry_delay=RETRY_DELAY,
        weight_rule="absolute",
        priority_weight=GOING_BACK_FIRST,
        dag=dag,
    )
    return dag
