"""The page on which a gate is read and answered in a browser, on a phone too."""

from __future__ import annotations

from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi import APIRouter, HTTPException
from starlette.responses import HTMLResponse

from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger, release_or_404
from relman_plugins.reports.gate import gate_page, gate_policy

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
    page = gate_page(
        state,
        access.user_id(user),
        votes_url=f"{api}/gates/{quote(gate, safe='')}/votes",
        run_url=f"{root}/dags/{quote(record.dag_id, safe='')}/runs/{quote(record.run_id, safe='')}",
        report_url=f"{api}/report?format=html",
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": gate_policy()})
