"""The one route without a sign-in to Airflow: Slack calls it when somebody presses a button.

Mounted at ``/relman/slack``, so that none of the other routes' rules (session, same origin, JSON) is softened
for it: it has rules of its own. A request counts when Slack signed it with the secret of the connection
``relman_slack``; without a secret there is no route. Slack waits for three seconds. Within two the vote is
cast, or the person is told later, in private; what was begun is finished either way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relman_plugins.errors import LedgerError
from relman_plugins.hooks.slack import CONNECTION, signing_secret
from relman_plugins.notifications.buttons import COMMENT, form
from relman_plugins.notifications.text import cut, plain
from relman_plugins.plugin.deps import ledger
from relman_plugins.plugin.slack_request import Malformed, Press, is_signed, read
from relman_plugins.plugin.slack_votes import Reply, metadata_of, reply_to

PATH = "/relman/slack/interactivity"
"""Path of the address that Slack's app configuration asks for."""

ANSWER_S = 2.0
"""How long a request may take before it is answered; Slack gives up after three seconds."""

SECRET_S = 30.0
"""How long the secret is remembered: strangers must not make Airflow ask its secrets backends each time."""

WORKERS = 4
MOST_WAITING = 40
"""Presses that may be at work or wait in this process; more are refused, and Slack tells the person so. As
many words to people may wait beside them; more are left unsaid."""

CALL_S = 10
"""How long one call to Slack may take."""

FORM_S = 3
"""How long opening a form may take: later Slack would not open it, and a vote waits behind it."""

_log = logging.getLogger(__name__)
_secret: tuple[float, str] | None = None


class _Crew:
    """Threads with a bounded pile of work; made when first needed, so that a fork has its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: set[Future[Any]] = set()

    @property
    def is_full(self) -> bool:
        """Whether there is as much to do as may be."""
        return len(self._waiting) >= MOST_WAITING

    def submit(self, work: Any, *arguments: Any) -> Future[Any]:
        """Have something done."""
        self._pool = self._pool or ThreadPoolExecutor(WORKERS, self._name)
        future = self._pool.submit(work, *arguments)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future


_votes = _Crew("relman-slack-vote")
_words = _Crew("relman-slack-word")
"""Apart from votes: a Slack that does not answer must hold none of them, nor take their places."""


@cache
def application() -> Starlette:
    """Return the application; one per process."""
    return Starlette(routes=[Route("/interactivity", _interactivity, methods=["POST"])])


async def _interactivity(request: Request) -> Response:
    secret = await run_sync(_known_secret)
    if not secret:
        return _problem(404, f"no votes from Slack here: connection {CONNECTION} has no signing_secret")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return _problem(415, "expected a form, as Slack sends it")
    body = await request.body()
    if not is_signed(body, request.headers, secret):
        return _problem(401, "not signed by Slack with this app's signing secret within five minutes")
    try:
        press = read(body, request.headers)
    except Malformed as error:
        return _problem(400, str(error))
    if press is None:
        return Response()
    if _votes.is_full:
        return _problem(503, "too many presses at once; press again")
    work = _votes.submit(_work, press)
    try:
        reply = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(work)), ANSWER_S)
    except (TimeoutError, asyncio.CancelledError) as error:
        # It goes on, also when Slack has hung up; the person hears of it in private.
        work.add_done_callback(lambda done: _later(press, done.result()))
        if isinstance(error, asyncio.CancelledError):
            raise
        return Response()
    if press.form is not None and reply.told and not reply.counted:
        # Slack shows it in the form, which stays open; its text has no markup.
        return JSONResponse(
            {"response_action": "errors", "errors": {COMMENT: cut(_unescaped(reply.told), 1000)}}
        )
    _later(press, reply)
    return Response()


def _known_secret() -> str:
    global _secret
    if _secret is None or time.monotonic() - _secret[0] > SECRET_S:
        _secret = (time.monotonic(), signing_secret())
    return _secret[1]


def _work(press: Press) -> Reply:
    try:
        reply = reply_to(ledger(), press)
    except LedgerError as error:
        _log.warning("a press in Slack at %s came to nothing: %s", press.question.gate, error)
        return Reply(
            "Nothing was recorded: the ledger does not answer, and without it nothing can be decided. "
            "Press again in a moment."
        )
    except Exception:
        _log.exception("a press in Slack at %s came to nothing", press.question.gate)
        return Reply("relman could not work on this: see the API server's log. Answer in Airflow instead.")
    if reply.asks is not None and not _open_form(press, reply):
        return Reply("Slack did not open the form. Press again, or answer in Airflow.")
    return reply


def _open_form(press: Press, reply: Reply) -> bool:
    """Open the form; at once, since Slack allows three seconds from the press."""
    assert reply.asks is not None  # noqa: S101 - asked for by the caller
    view = form(reply.asks, press.decision, metadata_of(press))
    return _call("views.open", {"trigger_id": press.trigger, "view": view}, FORM_S)


def _later(press: Press, reply: Reply) -> None:
    """Tell the person, and nobody else."""
    if not reply.told:
        return
    if _words.is_full:
        _log.warning("a member of Slack was not told: %s", reply.told)
        return
    said = {"channel": press.place.channel, "user": press.user, "text": reply.told}
    said |= {"thread_ts": press.place.thread} if press.place.thread else {}
    _words.submit(_call, "chat.postEphemeral", said)


def _call(method: str, arguments: dict[str, Any], within_s: int = CALL_S) -> bool:
    try:
        from airflow.providers.slack.hooks.slack import SlackHook

        hook = SlackHook(slack_conn_id=CONNECTION, timeout=within_s, retry_handlers=[])
        hook.call(method, json=arguments)
    except Exception as error:
        # Telling is not doing; and what Slack's library raises may quote the token.
        code = getattr(getattr(error, "response", None), "data", None)
        why = code.get("error") if isinstance(code, dict) else type(error).__name__
        _log.warning("Slack did not take %s: %s", method, why)
        return False
    return True


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _problem(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"detail": plain(reason, 500)}, status)
