"""Delivering messages as they come, for a minute at a time."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from airflow.triggers.base import TriggerEvent

from relman_plugins import settings
from relman_plugins.errors import LedgerError
from relman_plugins.hooks.slack import signing_secret
from relman_plugins.ledger.api import Ledger, Line
from relman_plugins.notifications.calls import in_thread
from relman_plugins.notifications.carrier import carry
from relman_plugins.notifications.letter import Letter
from relman_plugins.notifications.limits import GIVE_UP_AGE
from relman_plugins.notifications.mail import send_mail
from relman_plugins.notifications.notifiers import send_through
from relman_plugins.notifications.outbox import LEASE_S, DrainResult, drain
from relman_plugins.notifications.slack import SlackLike, connect
from relman_plugins.notifications.ticket_notes import is_ticket_channel, send_to_ticket
from relman_plugins.notifications.trains import tell as tell_of_trains
from relman_plugins.plan.routing import CONNECTIONS, EMAIL, SLACK
from relman_plugins.triggers.base import ReleaseTrigger, in_ledger_thread
from relman_plugins.triggers.feed import ledger_feed

DELIVER_S = 45.0
"""How long one run of maintenance delivers messages as they come; the next one begins a minute after it."""
PAUSE_S = 1.0
GRACE_S = 10.0
"""How long what is being delivered at the end may take; what hangs longer is left to its own time limit."""

TRAINS = "notifications.trains"
"""The lease of whoever tells of trains."""
TRAINS_PAUSE_S = 60.0
"""How long trains wait when Slack would not hear of one."""

_trains_wait_until = [0.0]
"""By this process's monotonic clock."""

_running: dict[Line, Future[DrainResult]] = {}
"""At most one thread for a line in this process, also of one that hangs while the next run delivers."""


class DeliverTrigger(ReleaseTrigger):
    """Drain the outbox whenever the ledger grows, for ``seconds``.

    Each line (a channel through one connection) has a thread of its own: one that is slow or down holds no
    other, and none of them holds a release. The event is ``{"sent", "failed", "pending"}``.
    A length and no end: by the clock of a worker that is behind, the end may be over before it begins here.
    """

    def __init__(self, *, seconds: float = DELIVER_S, **kwargs: Any) -> None:
        kwargs.pop("until", None)  # an older relman stored it
        super().__init__(**kwargs)
        self.seconds = seconds

    def arguments(self) -> dict[str, Any]:
        """Return for how long to deliver."""
        return {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Deliver."""
        until = time.monotonic() + self.seconds
        feed = await ledger_feed()
        mine: dict[Line, Future[DrainResult]] = {}
        sent = failed = pending = 0
        while time.monotonic() < until:
            try:
                lines, pending = await in_ledger_thread(lambda: _due(feed.source()))
            except LedgerError as error:
                self.log.warning("nothing is delivered while the ledger does not answer: %s", error)
                lines = []
            for line in lines:
                if line not in mine and not _is_running(line):
                    mine[line] = _running[line] = in_thread(partial(deliver, feed.source, line))
            await asyncio.sleep(PAUSE_S)
            done, failures = self._collect(mine)
            sent, failed, pending = sent + done, failed + failures, max(0, pending - done)
            if not mine:
                await feed.grown(max(0.0, min(until - time.monotonic(), 10.0)))
        while mine and time.monotonic() < until + GRACE_S:
            await asyncio.sleep(0.1)
            done, failures = self._collect(mine)
            sent, failed, pending = sent + done, failed + failures, max(0, pending - done)
        yield await self.event({"sent": sent, "failed": failed, "pending": pending})

    def _collect(self, mine: dict[Line, Future[DrainResult]]) -> tuple[int, int]:
        sent = failed = 0
        for line, future in list(mine.items()):
            if not future.done():
                continue
            del mine[line]
            error = future.exception()
            if error is None:
                sent, failed = sent + future.result().sent, failed + future.result().failed
            else:
                # A missing provider or ledger must not cost the housekeeping that shares this run.
                self.log.warning("%s can't be told: %s", line.channel, error)
        return sent, failed


def deliver(source: Callable[[], Ledger], line: Line) -> DrainResult:
    """Deliver what is due on one line."""
    ledger, base_url = source(), settings.base_url()
    if line.channel == SLACK:
        slack = connect(line.connection or CONNECTIONS[SLACK])
        # The form of the messages, not a permission: the endpoint that takes votes looks for itself.
        buttons = not line.connection and not settings.all_admins() and bool(signing_secret())
        done = drain(ledger, slack, connection=line.connection, base_url=base_url, buttons=buttons)
        return done if line.connection or done.again_at is not None else _with_trains(ledger, slack, done)
    if line.channel == EMAIL:
        return carry(ledger, line, send_mail, base_url=base_url)
    if is_ticket_channel(line.channel):
        return carry(ledger, line, partial(send_to_ticket, ledger), base_url=base_url)

    def send(letter: Letter) -> str:
        # Read for each letter: a setting that can't be read is noted with the message that waits for it.
        return send_through(line.channel, settings.notifiers(), letter)

    return carry(ledger, line, send, base_url=base_url)


def _with_trains(ledger: Ledger, slack: SlackLike, done: DrainResult) -> DrainResult:
    """Tell of trains, too, once what is due of releases is said; one process at a time."""
    holder = f"{os.uname().nodename}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    if done.busy or not ledger.lease(TRAINS, holder, LEASE_S):
        return done
    try:
        told = tell_of_trains(ledger, slack)
    finally:
        ledger.end_lease(TRAINS, holder)
    if told.failed:
        _trains_wait_until[0] = time.monotonic() + TRAINS_PAUSE_S
    return done.model_copy(update={"sent": done.sent + told.sent, "failed": done.failed + told.failed})


def _due(ledger: Ledger) -> tuple[list[Line], int]:
    lines, pending = ledger.outbox.lines(), ledger.outbox.pending()
    waiting = time.monotonic() < _trains_wait_until[0]
    trains = 0 if waiting else len(ledger.trains.untold(ledger.now() - GIVE_UP_AGE))
    if trains and (slack := Line(SLACK, "")) not in lines:
        lines = [*lines, slack]
    return lines, pending + trains


def _is_running(line: Line) -> bool:
    future = _running.get(line)
    return future is not None and not future.done()
