"""Bodies of requests: read up to a limit, before anything else looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 256 * 1024
"""Bytes; a comment or a reason has at most 4000 characters."""


async def read(request: Request) -> bytes | None:
    """Return the whole body; None when it is larger than ``MAX_BODY``, the rest of it unread."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives ``body`` again, then what else comes."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def too_large() -> JSONResponse:
    """Return the answer to a body that is larger than ``MAX_BODY``."""
    return JSONResponse({"detail": f"the request's body is larger than {MAX_BODY} bytes"}, 413)


class BoundedBody:
    """Refuses large bodies: the framework reads them whole before it asks who sends them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request with its body, or answer 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await read(Request(scope, receive))
        if body is None:
            await too_large()(scope, receive, send)
        else:
            await self.app(scope, replay(body, receive), send)
