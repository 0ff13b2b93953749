"""The control API: observe and converge over HTTP, for programs on this machine, or for those with the token.

A page in a browser on the same machine could reach the port too. So every request must be addressed to one of
the daemon's names (a page cannot fake the Host header), none may carry an Origin, and a change must be JSON.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import Field, ValidationError

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.state import DesiredState
from relman_plugins.errors import PlatformRejected, PlatformUnavailable, RelmanError, StaleToken
from relman_plugins.platforms.sandbox import metrics
from relman_plugins.platforms.sandbox.reach import Reach
from relman_plugins.platforms.sandbox.supervisor import Supervisor

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATE = "/v1/state/{environment:[a-z][a-z0-9-]{0,62}}/{service:[a-z][a-z0-9-]{0,62}}"

STATUS: dict[type[RelmanError], tuple[int, str]] = {
    StaleToken: (409, "stale_token"),
    PlatformRejected: (422, "rejected"),
    PlatformUnavailable: (504, "unavailable"),
}


class Change(Frozen):
    """Body of a PUT."""

    desired: DesiredState
    token: int = Field(ge=0)
    timeout_s: float = Field(default=60, gt=0, le=3600)


def guard(reach: Reach) -> Middleware:
    """Return the middleware that refuses strangers and web pages, and turns our errors into answers."""
    expected = f"Bearer {reach.token}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.host.rpartition(":")[0] or request.host
        if host not in reach.hosts:
            return _error(403, "forbidden", f'refused a request for host "{request.host}"; use {reach.host}')
        if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") != "none":
            return _error(403, "forbidden", "refused a request from a web page; this API is for programs")
        if request.path.startswith("/v1/"):
            given = request.headers.get("Authorization", "").encode()
            if reach.token and not hmac.compare_digest(given, expected):
                return _error(401, "forbidden", "the sandbox's token is missing or wrong")
            if request.method not in ("GET", "HEAD") and request.content_type != "application/json":
                return _error(415, "forbidden", "expected Content-Type: application/json")
        try:
            return await handler(request)
        except (StaleToken, PlatformRejected, PlatformUnavailable) as e:
            status, code = STATUS[type(e)]
            return _error(status, code, str(e))

    return check


def add_routes(app: web.Application, supervisor: Supervisor) -> None:
    """Add `/healthz`, `/metrics`, `GET` and `PUT /v1/state/<environment>/<service>`, `GET /v1/state`."""

    async def health(request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {
                "status": "ok",
                "pid": os.getpid(),
                "home": str(supervisor.home.root),
                "front": supervisor.front_url,
            }
        )

    async def scrape(request: web.Request) -> web.StreamResponse:
        text = metrics.render(supervisor.metrics)
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def observe(request: web.Request) -> web.StreamResponse:
        seen = await supervisor.observe(request.match_info["environment"], request.match_info["service"])
        return _json(seen)

    async def observe_all(request: web.Request) -> web.StreamResponse:
        seen = {f"{e}/{s}": (await supervisor.observe(e, s)).model_dump() for e, s in supervisor.deployments}
        return web.json_response(seen)

    async def converge(request: web.Request) -> web.StreamResponse:
        try:
            change = Change.model_validate_json(await request.read())
        except ValidationError as e:
            return _error(422, "rejected", f"the request is not a change: {e}")
        seen = await supervisor.converge(
            request.match_info["environment"],
            request.match_info["service"],
            change.desired,
            change.token,
            change.timeout_s,
        )
        return _json(seen)

    app.router.add_get("/healthz", health)
    app.router.add_get("/metrics", scrape)
    app.router.add_get("/v1/state", observe_all)
    app.router.add_get(STATE, observe)
    app.router.add_put(STATE, converge)


def _json(value: Frozen) -> web.Response:
    return web.Response(text=value.model_dump_json(), content_type="application/json")


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": code, "message": message}, status=status)
