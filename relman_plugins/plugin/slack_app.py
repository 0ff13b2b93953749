"""The routes without a sign-in to Airflow: Slack calls them at a press of a button and at a command.

Mounted at ``/relman/slack``, so that none of the other routes' rules (session, same origin, JSON) is softened
for them: they have rules of their own. A request counts when Slack signed it with the secret of connection
``relman_slack``; without a secret there is no route. Slack waits for three seconds. Within two is done what
was asked for, or the person is told later, in private; what was begun is finished either way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relman_plugins.errors import LedgerError
from relman_plugins.hooks.slack import CONNECTION, signing_secret
from relman_plugins.notifications.blocks import Message, message
from relman_plugins.notifications.buttons import COMMENT, form
from relman_plugins.notifications.text import cut, plain
from relman_plugins.plugin.deps import ledger
from relman_plugins.plugin.slack_command import Command, read_command
from relman_plugins.plugin.slack_freezes import obey
from relman_plugins.plugin.slack_request import Malformed, Place, Press, is_signed, read, seconds_off
from relman_plugins.plugin.slack_votes import Reply, metadata_of, reply_to

PATH = "/relman/slack/interactivity"
"""Path of the address that Slack's app configuration asks for."""

COMMANDS_PATH = "/relman/slack/commands"
"""Path of the address that it asks for at the command ``/relman``."""

ANSWER_S = 2.0
"""How long a request may take before it is answered; Slack gives up after three seconds."""

SECRET_S = 30.0
"""How long the secret is remembered: strangers must not make Airflow ask its secrets backends each time."""

WORKERS = 4
MOST_WAITING = 40
"""Presses that may be at work or wait in this process; more are refused, and Slack tells the person so. As
many commands and words to people may wait beside them; more words are left unsaid."""

CALL_S = 10
"""How long one call to Slack may take."""

FORM_S = 3
"""How long opening a form may take: later Slack would not open it, and a vote waits behind it."""

T = TypeVar("T")

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
_orders = _Crew("relman-slack-order")
"""Apart from votes: however many are cast, the line can be stopped."""
_words = _Crew("relman-slack-word")
"""Apart from votes: a Slack that does not answer must hold none of them, nor take their places."""


@cache
def application() -> Starlette:
    """Return the application; one per process."""
    return Starlette(
        routes=[
            Route("/interactivity", _interactivity, methods=["POST"]),
            Route("/commands", _commands, methods=["POST"]),
        ]
    )


async def _interactivity(request: Request) -> Response:
    body = await _signed(request)
    if isinstance(body, Response):
        return body
    try:
        press = read(body, request.headers)
    except Malformed as error:
        return _problem(400, str(error))
    if press is None:
        return Response()
    if _votes.is_full:
        return _problem(503, "too many presses at once; press again")

    def later(reply: Reply) -> None:
        _later(press.user, press.place, reply.told)

    try:
        reply = await _in_time(_votes.submit(_work, press), later)
    except TimeoutError:
        return Response()
    if press.form is not None and reply.told and not reply.counted:
        # Slack shows it in the form, which stays open; its text has no markup.
        return JSONResponse(
            {"response_action": "errors", "errors": {COMMENT: cut(_unescaped(reply.told), 1000)}}
        )
    later(reply)
    return Response()


async def _commands(request: Request) -> Response:
    body = await _signed(request)
    if isinstance(body, Response):
        return body
    try:
        command = read_command(body, request.headers)
    except Malformed as error:
        return _problem(400, str(error))
    if command is None:
        return Response()
    if _orders.is_full:
        return _only_them(message("Nothing was done: too many commands at once. Type it again."))

    def later(told: Message | None) -> None:
        _later(command.user_id, command.place, told.text if told else "")

    try:
        told = await _in_time(_orders.submit(_ordered, command), later)
    except TimeoutError:
        told = message("relman is still at it. `/relman freezes` lists what is frozen.")
    return _only_them(told) if told else Response()


async def _in_time(work: Future[T], later: Callable[[T], None]) -> T:
    """Return what comes of work while Slack waits for it; what takes longer goes on, and ends in ``later``.

    Raises:
        TimeoutError: It takes longer.
    """
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(work)), ANSWER_S)
    except (TimeoutError, asyncio.CancelledError):
        # It goes on, also when Slack has hung up; the person hears of it in private.
        work.add_done_callback(lambda done: later(done.result()))
        raise


async def _signed(request: Request) -> bytes | Response:
    """Return the body of a form that Slack signed, or what to answer to anything else."""
    secret = await run_sync(_known_secret)
    if not secret:
        return _problem(404, f"nothing from Slack here: connection {CONNECTION} has no signing_secret")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return _problem(415, "expected a form, as Slack sends it")
    body = await request.body()
    if not is_signed(body, request.headers, secret):
        if off := seconds_off(body, request.headers, secret, time.time()):
            why = (
                f"signed by Slack, {abs(off)} s {'before' if off > 0 else 'after'} this server's time: sent "
                "again by somebody, or the server's clock is wrong; set it (chronyc tracking) and press again"
            )
            _log.warning("nothing was done: %s", why)
            return _problem(401, why)
        return _problem(401, "not signed by Slack with this app's signing secret within five minutes")
    return body


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


def _ordered(command: Command) -> Message | None:
    try:
        return obey(ledger(), command)
    except LedgerError as error:
        _log.warning("a command in Slack came to nothing: %s", error)
        return message("Nothing was done: the ledger does not answer. Type it again in a moment.")
    except Exception:
        _log.exception("a command in Slack came to nothing")
        return message(
            "relman could not work on this: see the API server's log. Use the command line instead."
        )


def _open_form(press: Press, reply: Reply) -> bool:
    """Open the form; at once, since Slack allows three seconds from the press."""
    assert reply.asks is not None  # noqa: S101 - asked for by the caller
    view = form(reply.asks, press.decision, metadata_of(press))
    return _call("views.open", {"trigger_id": press.trigger, "view": view}, FORM_S)


def _later(user: str, place: Place, told: str) -> None:
    """Tell somebody, and nobody else."""
    if not told:
        return
    if _words.is_full:
        _log.warning("a member of Slack was not told: %s", told)
        return
    said = {"channel": place.channel, "user": user, "text": told}
    said |= {"thread_ts": place.thread} if place.thread else {}
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


def _only_them(told: Message) -> JSONResponse:
    """Answer a command; nobody but who typed it sees that."""
    return JSONResponse({"response_type": "ephemeral", "text": told.text, "blocks": told.blocks})


def _problem(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"detail": plain(reason, 500)}, status)
