"""The route of a release's report."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger, release_or_404
from relman_plugins.reports.facts import report_of
from relman_plugins.reports.html import content_security_policy, html
from relman_plugins.reports.markdown import markdown

router = APIRouter()


@router.get("/releases/{release_id}/report")
def get_report(
    release_id: str,
    request: Request,
    user: access.Reader,
    format: Literal["json", "md", "html"] | None = None,
) -> Response:
    """Return the report of a release, as JSON, Markdown or HTML; without ``format``, as Accept asks."""
    store = ledger()
    record = release_or_404(store, release_id, user)
    report = report_of(record, store.events(release_id))
    accepted = request.headers.get("accept", "")
    wanted = format or (
        "html" if "text/html" in accepted else "md" if "text/markdown" in accepted else "json"
    )
    if wanted == "html":
        return HTMLResponse(html(report), headers={"Content-Security-Policy": content_security_policy()})
    if wanted == "md":
        return PlainTextResponse(markdown(report), media_type="text/markdown")
    return JSONResponse(report.model_dump(mode="json"))
