"""The route that says when a release will be done."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from relman_plugins import settings
from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger, release_or_404
from relman_plugins.reports.expected import expected

router = APIRouter()


@router.get("/releases/{release_id}/forecast")
def get_forecast(release_id: str, user: access.Reader) -> dict[str, Any]:
    """Return when the release will be done: P50 and P90, by stage, and what the end waits for."""
    store = ledger()
    record = release_or_404(store, release_id, user)
    return expected(store, record, settings.minimum_deferral()).model_dump(mode="json")
