"""Routes that show the pictures of a release's analyses."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Response

from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger, release_or_404
from relman_plugins.reports.picture import picture_of, pictures_of
from relman_plugins.reports.svg import svg

router = APIRouter()


@router.get("/releases/{release_id}/pictures")
def list_pictures(release_id: str, user: access.Reader) -> dict[str, Any]:
    """Return the numbers of each analysis' picture, in the order of their beginnings."""
    store = ledger()
    record = release_or_404(store, release_id, user)
    found = pictures_of(record.release_id, record.plan.shape, store.events(release_id))
    return {"pictures": [picture.model_dump(mode="json") for picture in found]}


@router.get("/releases/{release_id}/pictures/{step}.svg")
def get_picture(release_id: str, step: str, user: access.Reader) -> Response:
    """Return the picture of a step's analysis; it is drawn from the record, so it is the same each time."""
    store = ledger()
    record = release_or_404(store, release_id, user)
    picture = picture_of(record.release_id, record.plan.shape, store.events(release_id), step)
    if picture is None:
        raise HTTPException(404, f"nothing was measured at step {step[:80]!r} of {record.release_id}")
    return Response(svg(picture), media_type="image/svg+xml")
