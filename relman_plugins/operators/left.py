"""What a step that changes an environment leaves behind for a rollback that has to do without the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    context["ti"].xcom_push(key="change", value=left)
