"""The DAG that keeps house: delivers what is due, expires what is over."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable

from relman_plugins.domain.identity import MAINTENANCE_DAG_ID
from relman_plugins.factory.catalog import MAINTENANCE, OperatorType, operator_type

_DOCS = """\
Keeps house for every release, once a minute:

- delivers what is due to Slack and to the other channels
- reminds those who can still answer at gates
- expires locks and environments that nobody renewed
- ends releases whose run was deleted, marked or timed out
- tells releases in flight of calendars that were edited

A lease in the ledger makes sure that one run works at a time. Pausing this DAG stops no release, but what is
listed above waits.
"""


def build_maintenance(specs: Path, operator: str | OperatorType = MAINTENANCE) -> DAG:
    """Build the ``relman_maintenance`` DAG, which looks for edited calendars in the folder ``specs``.

    Raises:
        ImportError: The operator cannot be imported.
    """
    dag = DAG(
        MAINTENANCE_DAG_ID,
        description="Keeps house for every release",
        schedule=CronTriggerTimetable("* * * * *", timezone="UTC"),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={"owner": "relman"},
        tags=["relman"],
        doc_md=_DOCS,
    )
    # The next run is a minute away and does what this one could not.
    operator_type(operator)(task_id="maintain", retries=0, dag=dag, specs=str(specs))
    return dag
