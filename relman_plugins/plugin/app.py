"""The application mounted at ``/relman``."""

from __future__ import annotations

from functools import cache

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import auth_manager_from_app, get_user
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, Response

from relman_plugins.errors import LedgerError, Refused
from relman_plugins.plugin import (
    actions,
    dora,
    evidence,
    forecasts,
    freezes,
    gate_page,
    gates,
    health,
    locks,
    pictures,
    releases,
    report,
    rollback,
    slack_app,
    trains,
)
from relman_plugins.plugin.body import BoundedBody
from relman_plugins.plugin.deps import legible
from relman_plugins.plugin.headers import SafeHeaders
from relman_plugins.plugin.models import wrong


@cache
def application() -> FastAPI:
    """Return the API: no route, not even a missing one's documentation, without a signed-in user."""
    app = FastAPI(
        title="relman",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(get_user), Depends(legible)],
    )
    # In a mounted application Airflow's own dependency would look for the auth manager on this app.
    app.dependency_overrides[auth_manager_from_app] = get_auth_manager
    reading = (releases, forecasts, report, pictures, evidence, dora, health)
    for module in (*reading, gates, actions, rollback, locks, freezes, trains):
        app.include_router(module.router, prefix="/api/v1")
    app.include_router(gate_page.router)
    # An application of its own: whoever presses a button in Slack has no session here.
    app.mount("/slack", slack_app.application())
    app.add_middleware(BoundedBody)
    app.add_middleware(SafeHeaders)
    app.add_exception_handler(HTTPException, _denied)
    app.add_exception_handler(LedgerError, _unavailable)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


async def _denied(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    return report.to_login(request, error) or await http_exception_handler(request, error)


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 409)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": wrong(problems) or "invalid request"}, 422)
