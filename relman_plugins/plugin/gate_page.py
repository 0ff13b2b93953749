"""The page on which a gate is read and answered in a browser, on a phone too."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi import APIRouter, HTTPException
from starlette.responses import HTMLResponse

from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger, release_or_404
from relman_plugins.reports.gate import gate_page, gate_policy

if TYPE_CHECKING:
    from relman_plugins.ledger.api import GateState, Ledger

router = APIRouter()


@router.get("/gates/{release_id}/{gate}")
def get_gate_page(release_id: str, gate: str, user: access.Reader) -> HTMLResponse:
    """Return the page of a gate in its present round; 404 for whoever may not read its Required Action.

    Its buttons ask the vote service, as every other way in does.
    """
    store = ledger()
    record = release_or_404(store, release_id, user, DagAccessEntity.HITL_DETAIL)
    state = store.votes.gate(release_id, gate)
    if state is None:
        raise HTTPException(404, f"release {release_id!r} has not opened a gate {gate!r}")
    root = access.public_root()
    api = f"{root}/relman/api/v1/releases/{quote(release_id, safe='')}"
    run = f"{root}/dags/{quote(record.dag_id, safe='')}/runs/{quote(record.run_id, safe='')}"
    task = state.asker or gate
    in_airflow = any(step.id == task for step in record.plan.shape.steps)
    page = gate_page(
        state,
        access.user_id(user),
        access.display_name(user),
        ended=_ended(store, state),
        votes_url=f"{api}/gates/{quote(gate, safe='')}/votes",
        asked_url=f"{run}/tasks/{quote(task, safe='')}/required_actions" if in_airflow else run,
        report_url=f"{api}/report?format=html",
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": gate_policy()})


def _ended(store: Ledger, gate: GateState) -> str:
    """Return why nobody may answer any more at a gate that nobody has decided; empty where they may."""
    if gate.debt:
        return ""
    if store.status(gate.release_id).outcome is not None:
        return f"release {gate.release_id} is closed"
    return "its time is over" if store.now() >= gate.expires_at else ""
