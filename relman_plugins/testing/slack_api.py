"""The part of Slack's Web API that relman uses, as an ASGI application that can be told to misbehave.

Beyond the API there are ``GET /_transcript`` (JSON, or for a reader with ``?format=text``) and
``POST /_fault`` with ``{"kind", "count", "method", "seconds"}``: the next ``count`` calls of ``method`` (any
when left out) go wrong. Kinds: ``rate_limited`` (429, ``seconds`` is the Retry-After), ``server_error`` (503,
nothing done), ``server_error_after`` (503 although it was done), ``hang`` and ``hang_after`` (no answer for
``seconds``, not done or done), ``drop_after`` (done, the answer cut off), or any of Slack's error codes. How
members press buttons is in ``slack_doors``.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from relman_plugins.testing import slack_doors
from relman_plugins.testing.slack_interactive import Interactive
from relman_plugins.testing.slack_rules import Refusal, check_message
from relman_plugins.testing.slack_store import Message, Store, render_transcript

TOKEN = "xoxb-relman-testing"  # noqa: S105 - a token of this server only
"""The token that is accepted when none is configured."""


@dataclass
class Fault:
    """Something that goes wrong ``count`` times."""

    kind: str
    count: int = 1
    method: str | None = None
    seconds: float = 30.0


@dataclass
class SlackApi:
    """The API over one workspace, as an ASGI application.

    Messages to one channel are limited to ``rate`` per second, after ``burst`` that come at once, measured by
    ``clock``.
    """

    store: Store
    token: str = TOKEN
    rate: float = 1.0
    burst: int = 20
    clock: Callable[[], float] = time.monotonic
    faults: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """Names of the methods that were called, in order."""
    interactive: Interactive = field(init=False)
    _tokens: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.interactive = Interactive(self.store)

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/api/{method}", self._call, methods=["GET", "POST"]),
                Route("/_fault", self._add_fault, methods=["POST"]),
                Route("/_transcript", self._transcript),
                *slack_doors.routes(self.interactive),
            ]
        )

    async def _call(self, request: Request) -> Response:
        method = request.path_params["method"]
        self.calls.append(method)
        fault = self._fault(method)
        if fault is not None and fault.kind == "hang":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.kind in {"server_error", "hang"}:
            return PlainTextResponse("upstream connect error", status_code=503)
        if fault is not None and fault.kind == "rate_limited":
            return _too_many(fault.seconds)
        try:
            if fault is not None and not fault.kind.endswith("_after"):
                raise Refusal(fault.kind)
            done = await self._answer(method, request)
        except Refusal as refusal:
            return JSONResponse(
                {
                    "ok": False,
                    "error": refusal.code,
                    **({"response_metadata": {"messages": refusal.messages}} if refusal.messages else {}),
                }
            )
        if isinstance(done, Response):
            return done
        return await self._after(fault, {"ok": True, **done})

    async def _after(self, fault: Fault | None, body: dict[str, Any]) -> Response:
        match fault.kind if fault else None:
            case "hang_after":
                await asyncio.sleep(fault.seconds if fault else 0)
            case "server_error_after":
                return PlainTextResponse("upstream connect error", status_code=503)
            case "drop_after":
                return StreamingResponse(_cut_off(), headers={"Content-Length": "1000"})
        return JSONResponse(body)

    async def _answer(self, method: str, request: Request) -> dict[str, Any] | Response:
        methods: dict[str, Callable[[dict[str, Any]], dict[str, Any] | Response]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "chat.update": self._update,
            "chat.postEphemeral": self.interactive.post_ephemeral,
            "views.open": self.interactive.open_view,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "conversations.list": self._list,
            "users.info": self._user,
        }
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        arguments = await _arguments(request)
        given = given or str(arguments.pop("token", ""))
        if not given:
            raise Refusal("not_authed")
        if given != self.token:
            raise Refusal("invalid_auth")
        if method not in methods:
            raise Refusal("unknown_method", method)
        return methods[method](arguments)

    def _auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "url": "https://relman.slack.test/",
            "team": "relman",
            "user": "relman",
            "user_id": "U0RELMAN",
        }

    def _post_message(self, given: dict[str, Any]) -> dict[str, Any] | Response:
        channel = self.store.resolve(given.get("channel"), names=True)
        message = _message(given)
        wait = self._wait(channel)
        if wait:
            return _too_many(wait)
        if given.get("thread_ts") is not None:
            message["thread_ts"] = str(given["thread_ts"])
        posted = self.store.post(channel, message)
        return {"channel": channel, "ts": posted["ts"], "message": posted}

    def _update(self, given: dict[str, Any]) -> dict[str, Any] | Response:
        channel = self.store.resolve(given.get("channel"), names=False)
        message = _message(given)
        wait = self._wait(channel)
        if wait:
            return _too_many(wait)
        changed = self.store.update(channel, str(given.get("ts")), message)
        return {"channel": channel, "ts": changed["ts"], "text": changed["text"]}

    def _history(self, given: dict[str, Any]) -> dict[str, Any]:
        channel = self.store.resolve(given.get("channel"), names=False)
        return _page(self.store.history(channel), given)

    def _replies(self, given: dict[str, Any]) -> dict[str, Any]:
        channel = self.store.resolve(given.get("channel"), names=False)
        return _page(self.store.replies(channel, str(given.get("ts"))), given)

    def _list(self, _: dict[str, Any]) -> dict[str, Any]:
        channels = [{"id": i, "name": name, "is_member": True} for i, name in self.store.channels.items()]
        return {"channels": channels, "response_metadata": {"next_cursor": ""}}

    def _user(self, given: dict[str, Any]) -> dict[str, Any]:
        user = str(given.get("user") or "")
        if not user.startswith(("U", "W")):
            raise Refusal("user_not_found")
        return {"user": {"id": user, "name": user.lower()}}

    def _wait(self, channel: str) -> float:
        """Take one message from a channel's allowance; return how long to wait when there is none."""
        now = self.clock()
        left, since = self._tokens.get(channel, (float(self.burst), now))
        left = min(float(self.burst), left + (now - since) * self.rate)
        self._tokens[channel] = (left - 1 if left >= 1 else left, now)
        return 0.0 if left >= 1 else (1 - left) / self.rate

    def _fault(self, method: str) -> Fault | None:
        fault = next((f for f in self.faults if f.method in (None, method)), None)
        if fault is not None:
            fault.count -= 1
            if fault.count <= 0:
                self.faults.remove(fault)
        return fault

    async def _add_fault(self, request: Request) -> Response:
        self.faults.append(Fault(**await request.json()))
        return JSONResponse({"ok": True})

    async def _transcript(self, request: Request) -> Response:
        channels = self.store.transcript()
        if request.query_params.get("format") == "text":
            return PlainTextResponse(render_transcript(channels) + "\n")
        return JSONResponse({"channels": channels})


async def _arguments(request: Request) -> dict[str, Any]:
    """Read the arguments the three ways Slack takes them: query string, form, JSON."""
    given: dict[str, Any] = dict(request.query_params)
    if "application/json" in request.headers.get("content-type", ""):
        try:
            # slack_sdk announces JSON for calls without arguments, too.
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            raise Refusal("invalid_json") from None
        given |= body if isinstance(body, dict) else {}
    elif request.method == "POST":
        given |= dict(await request.form())
    for name in ("blocks", "metadata", "view"):
        if isinstance(given.get(name), str):
            try:
                given[name] = json.loads(given[name])
            except ValueError:
                raise Refusal(f"invalid_{name}_format") from None
    return given


def _message(given: dict[str, Any]) -> Message:
    text, blocks, metadata = given.get("text", ""), given.get("blocks"), given.get("metadata")
    check_message(text, blocks, metadata)
    message: Message = {"text": text}
    if blocks is not None:
        message["blocks"] = blocks
    if metadata is not None:
        message["metadata"] = metadata
    return message


def _page(messages: list[Message], given: dict[str, Any]) -> dict[str, Any]:
    limit, start = min(int(given.get("limit") or 100), 999), int(given.get("cursor") or 0)
    oldest = float(given.get("oldest") or 0)
    wanted = [m for m in messages if float(m["ts"]) >= oldest]
    page = wanted[start : start + limit]
    if str(given.get("include_all_metadata", "")).lower() not in {"1", "true"}:
        page = [{k: v for k, v in m.items() if k != "metadata"} for m in page]
    more = len(wanted) > start + limit
    return {
        "messages": page,
        "has_more": more,
        "response_metadata": {"next_cursor": str(start + limit) if more else ""},
    }


def _too_many(seconds: float) -> Response:
    return JSONResponse(
        {"ok": False, "error": "ratelimited"},
        status_code=429,
        headers={"Retry-After": str(max(1, math.ceil(seconds)))},
    )


async def _cut_off() -> AsyncIterator[bytes]:
    yield b'{"ok": tr'
    raise ConnectionResetError("the answer is cut off on purpose")
