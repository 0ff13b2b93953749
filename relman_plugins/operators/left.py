"""What a step that changes an environment leaves behind for a rollback that has to do without the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from relman_plugins.steps.seal import opened, seal

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.domain.state import Revision
    from relman_plugins.ledger.api import Lock
    from relman_plugins.steps.run import StepRun


def leave_behind(context: Context, run: StepRun, previous: Revision | None, lock: Lock) -> None:
    """Leave what was there before, and the token to go back with, in XCom; before anything is changed."""
    left = {
        "release": run.release_id,
        "previous": previous.model_dump(mode="json") if previous else None,
        "token": lock.token,
    }
    ti = context["ti"]
    ti.xcom_push(key="change", value=seal((ti.dag_id, ti.run_id, run.step.id), left))


def left_behind(context: Context, steps: Sequence[str]) -> list[dict[str, Any]]:
    """Return what these steps left, in their order; what nobody sealed for this run is no word of theirs."""
    ti = context["ti"]
    found = (opened((ti.dag_id, ti.run_id, s), ti.xcom_pull(task_ids=s, key="change")) for s in steps)
    return [left for left in found if left]
