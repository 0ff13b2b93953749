"""How members press buttons from outside: a page for a browser, and doors for programs.

``GET /`` shows the channels with their buttons, for the member of one's choice. ``POST /_press`` takes
``{user, action, channel, ts}`` (by default the newest message that has such a button), ``POST /_send``
``{user, view, comment}`` and other fields by block id (by default the newest form); both answer
``{status, body}``: what the app answered. ``GET /_private`` returns what only single members see,
``GET /_views`` the open forms by id.
"""

from __future__ import annotations

import json
from html import escape
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from relman_plugins.testing.slack_interactive import Answer, Interactive, buttons_of
from relman_plugins.testing.slack_store import plain

MEMBERS = ("U01ALICE", "U02BOB", "U03STRANGER")
"""Who is offered on the page: the demo's people, and one who is none of them."""


def routes(interactive: Interactive) -> list[Route]:
    """Return the routes."""

    async def page(request: Request) -> Response:
        return HTMLResponse(_page(interactive, request.query_params.get("user", MEMBERS[0])))

    async def press(request: Request) -> Response:
        given = await _given(request)
        place = _newest(interactive, given)
        if place is None:
            return _done(request, given, Answer(0, "no message has such a button"))
        answer = await run_sync(interactive.press, given["user"], given["action"], *place)
        return _done(request, given, answer)

    async def send(request: Request) -> Response:
        given = await _given(request)
        view = given.get("view") or next(reversed(interactive.views), "")
        if view not in interactive.views:
            return _done(request, given, Answer(0, "no form is open"))
        fields = {block: str(said) for block, said in given.items() if block not in ("user", "view")}
        answer = await run_sync(lambda: interactive.send(given["user"], view, **fields))
        return _done(request, given, answer)

    async def private(request: Request) -> Response:
        return JSONResponse(interactive.private)

    async def views(request: Request) -> Response:
        return JSONResponse(interactive.views)

    return [
        Route("/", page),
        Route("/_press", press, methods=["POST"]),
        Route("/_send", send, methods=["POST"]),
        Route("/_private", private),
        Route("/_views", views),
    ]


async def _given(request: Request) -> dict[str, Any]:
    if "application/json" in request.headers.get("content-type", ""):
        return dict(json.loads(await request.body()))
    return dict(await request.form())


def _newest(interactive: Interactive, given: dict[str, Any]) -> tuple[str, str] | None:
    if given.get("ts"):
        return interactive.store.resolve(given.get("channel"), names=True), str(given["ts"])
    found = [
        (message["ts"], channel)
        for channel in interactive.store.channels
        for message in interactive.store.messages(channel)
        if any(b["action_id"] == given["action"] for b in buttons_of(message))
    ]
    ts, channel = max(found, default=("", ""))
    return (channel, ts) if ts else None


def _done(request: Request, given: dict[str, Any], answer: Answer) -> Response:
    if "application/json" in request.headers.get("content-type", ""):
        return JSONResponse(answer._asdict())
    return RedirectResponse(f"/?user={given.get('user', '')}", 303)


def _page(interactive: Interactive, user: str) -> str:
    choices = " ".join(
        f"<b>{escape(m)}</b>" if m == user else f'<a href="/?user={m}">{escape(m)}</a>' for m in MEMBERS
    )
    parts = [f"<p>You are {choices}. <a href=''>Look again</a></p>"]
    parts += [
        _form("/_send", {"user": user, "view": id_}, '<input name="comment" placeholder="Why?">', "Reject")
        for id_ in interactive.views
    ]
    for channel, name in interactive.store.channels.items():
        parts.append(f"<h2>#{escape(name)}</h2>")
        for message in interactive.store.messages(channel):
            indent = 2 if "thread_ts" in message else 0
            parts.append(f'<pre style="margin-left:{indent}em">{escape(plain(message))}</pre>')
            parts += [
                _form(
                    "/_press",
                    {"user": user, "channel": channel, "ts": message["ts"], "action": button["action_id"]},
                    "",
                    button["text"]["text"],
                )
                for button in buttons_of(message)
            ]
        for said in interactive.private:
            if (said["channel"], said["user"]) == (channel, user):
                parts.append(f"<pre><i>Only you see this:</i> {escape(said['text'])}</pre>")
    return f"<!doctype html><meta charset=utf-8><title>Slack</title>{''.join(parts)}"


def _form(action: str, hidden: dict[str, str], more: str, label: str) -> str:
    fields = "".join(
        f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in hidden.items()
    )
    inner = f"{fields}{more}<button>{escape(label)}</button>"
    return f'<form method="post" action="{action}" style="display:inline">{inner}</form>'
