"""An answer on Airflow's Required Actions page becomes a vote.

Airflow's own endpoint takes the last of two simultaneous answers and resumes the task with it. For the
approval gates of releases this middleware answers instead: the caller is authenticated and authorised
exactly as Airflow does it, the vote service decides, and the request is not forwarded. Everything else
passes through untouched, unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

from relman_plugins.plugin import body

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MARK = "relman_native_answers"
"""Set in the request's state by the middleware, so that the health check proves that it is active."""

SHOWN = 432
"""Status of a refusal to a page. Airflow's page shows a reason only for a status that it has no words of its
own for; of 403 it makes "Access Denied", of 409 "Conflict". Unassigned, so every client takes it for a 400
(RFC 9110, section 15). Whoever is no page gets the status that the refusal has."""

# Compiled by the router's own function from the router's own pattern: a path that Airflow would route to
# its endpoint, a trailing newline included, is a path that is caught here.
_ANSWER = compile_path(
    "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/hitlDetails"
)[0]


@dataclass(frozen=True)
class Target:
    """The gate that a native answer is for."""

    dag_id: str
    run_id: str
    task_id: str


def target(method: str, path: str, root_path: str = "") -> Target | None:
    """Return what a request answers, or None when it isn't a native answer of a release's DAG.

    Args:
        method: HTTP method.
        path: decoded path, as the server hands it to applications.
        root_path: the path that ``[api] base_url`` ends in; the server may have left it in ``path``.
    """
    if method != "PATCH":
        return None
    if root_path and path.startswith(root_path + "/"):
        path = path[len(root_path) :]
    match = _ANSWER.match(path)
    if match is None or not match["dag_id"].startswith("release__"):
        return None
    return Target(match["dag_id"], match["dag_run_id"], match["task_id"])


class NativeAnswers:
    """Pure ASGI middleware; wraps the whole API server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer native answers at gates; forward the rest."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})[MARK] = True
        wanted = target(scope["method"], scope["path"], scope.get("root_path", "").rstrip("/"))
        if wanted is None:
            await self.app(scope, receive, send)
            return
        received = await body.read(Request(scope, receive))
        if received is None:
            await body.too_large()(scope, receive, send)
            return
        response = await _respond(Request(scope, body.replay(received, receive)), wanted, received)
        if response is None:
            await self.app(scope, body.replay(received, receive), send)
        else:
            await response(scope, receive, send)


async def _respond(request: Request, wanted: Target, said: bytes) -> Response | None:
    # Imported at the first answer: Airflow's security module needs the whole web application.
    from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
    from anyio.to_thread import run_sync
    from fastapi import HTTPException

    from relman_plugins.errors import LedgerError
    from relman_plugins.plugin.answers import answer, is_gate

    try:
        # First who asks: strangers make no query, and are not told what is wrong with the ledger.
        user = await get_user(request, None, await bearer_scheme(request))
        if not await run_sync(is_gate, wanted):
            return None
        return JSONResponse(await run_sync(answer, request, user, wanted, said))
    except HTTPException as error:
        status = SHOWN if error.status_code in (403, 409) and _is_from_a_page(request) else error.status_code
        return JSONResponse({"detail": error.detail}, status, headers=dict(error.headers or {}))
    except LedgerError as error:
        return _problem(503, f"without the ledger nothing can be approved: {error}")


def _is_from_a_page(request: Request) -> bool:
    from relman_plugins.plugin import access

    # A browser names the origin of every page that changes something.
    return "origin" in request.headers and access.foreign(request) is None


def _problem(status: int, reason: Any) -> JSONResponse:
    return JSONResponse({"detail": reason}, status)
