"""The route of a release's report."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from relman_plugins.plugin import access
from relman_plugins.plugin.deps import ledger, release_or_404
from relman_plugins.plugin.gate_page import get_gate_page
from relman_plugins.plugin.pictures import get_picture
from relman_plugins.reports.comparison import LAST
from relman_plugins.reports.facts import report_of
from relman_plugins.reports.html import content_security_policy, html
from relman_plugins.reports.markdown import markdown

router = APIRouter()

_STALE = "Invalid JWT token"
"""What Airflow says with 403 of a session whose key is gone; its own pages then go to the login, too."""


@router.get("/releases/{release_id}/report")
def get_report(
    release_id: str,
    request: Request,
    user: access.Reader,
    format: Literal["json", "md", "html"] | None = None,
) -> Response:
    """Return the report of a release, as JSON, Markdown or HTML; without ``format``, as Accept asks.

    403 for whoever may not read the DAG's Required Actions: it tells who answered them.
    """
    store = ledger()
    record = release_or_404(store, release_id, user)
    access.require_answers(user, record.dag_id)
    before = store.succeeded_before(record.pipeline, record.opened_at, LAST)
    earlier = [report_of(one, store.events(one.release_id)) for one in before]
    report = report_of(record, store.events(release_id), earlier)
    accepted = request.headers.get("accept", "")
    wanted = format or (
        "html" if "text/html" in accepted else "md" if "text/markdown" in accepted else "json"
    )
    if wanted == "html":
        return HTMLResponse(html(report), headers={"Content-Security-Policy": content_security_policy()})
    if wanted == "md":
        return PlainTextResponse(markdown(report), media_type="text/markdown")
    return JSONResponse(report.model_dump(mode="json"))


def to_login(request: Request, error: HTTPException) -> Response | None:
    """Return the way to Airflow's login and back, for a browser that opens one of relman's pages signed out.

    It is where Airflow's own pages go then. None for everything else: programs, and requests that carry a
    token, get the error itself. The addresses have no host, since a proxy may know this server by another.
    """
    signed_out = error.status_code == 401 or (error.status_code == 403 and error.detail == _STALE)
    browses = "text/html" in request.headers.get("accept", "") and "authorization" not in request.headers
    shown = request.scope.get("endpoint")
    if not (signed_out and browses and shown in (get_report, get_picture, get_gate_page)):
        return None
    root = access.public_root()
    path = request.app.url_path_for(shown.__name__, **request.path_params)
    page = f"{root}/relman{path}" + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{root}/api/v2/auth/login?{urlencode({'next': page})}", 303)
