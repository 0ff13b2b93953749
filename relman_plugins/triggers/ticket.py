"""Waiting until a ticket's system says something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from relman_plugins import telemetry
from relman_plugins.domain.ticket import Demands, lacks, told
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable
from relman_plugins.hooks.ledger import flags_of
from relman_plugins.hooks.tickets import async_tickets
from relman_plugins.triggers.base import ReleaseTrigger
from relman_plugins.triggers.feed import LedgerFeed, ledger_feed

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger

PAUSE_S = 60.0
"""Between two looks at a ticket."""

FIRST_PAUSE_S = 15.0
"""Before the first look at a ticket that lacks something: people often give it right after they are told."""

REJECTED_PAUSE_S = 300.0
"""Between two tries when the system refuses to answer: a wrong password asked often locks its account."""


class TicketTrigger(ReleaseTrigger):
    """Ask a ticket's system now and then until it says something else, or somebody aborts the release.

    Nothing is recorded here: whoever gets the event asks again and records. The event is
    ``{"state": "changed" | "over" | "aborted"}``.

    :param demands: what the gate asks of the ticket, as ``Demands`` in JSON.
    :param begun: whether the change has begun that the gate guards.
    :param seen: what the ticket lacked, in words; empty when the system could not be asked.
    :param expires_at: when to give up, ISO 8601; empty for never.
    :param pause_s: seconds between two looks.
    """

    def __init__(
        self,
        *,
        release_id: str,
        connection: str,
        number: str,
        demands: dict[str, Any],
        begun: bool,
        seen: str,
        expires_at: str,
        pause_s: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.release_id = release_id
        self.connection = connection
        self.number = number
        self.demands = demands
        self.begun = begun
        self.seen = seen
        self.expires_at = expires_at
        self.pause_s = pause_s

    def arguments(self) -> dict[str, Any]:
        """Return what is waited for."""
        names = ("release_id", "connection", "number", "demands", "begun", "seen", "expires_at", "pause_s")
        return {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something new."""
        with telemetry.span("ticket", release_id=self.release_id, number=self.number):
            state = await self._news()
            telemetry.note(state=state)
        yield await self.event({"state": state})

    async def _news(self) -> str:
        feed, pause = await ledger_feed(), min(self.pause_s, FIRST_PAUSE_S if self.seen else self.pause_s)
        while True:
            left = self._left(await self._now(feed))
            if await feed.until(self._over, pause if left is None else max(0.0, min(pause, left))):
                return "aborted"
            pause = self.pause_s
            try:
                said = await self._said(await self._now(feed))
            except ClientUnavailable as error:
                pause = max(pause, min(error.retry_after or 0.0, REJECTED_PAUSE_S))
            except ClientRejected:
                pause = REJECTED_PAUSE_S
            except ClientError as error:
                self.log.info("%s", error)
            else:
                if said != self.seen or not self.seen:
                    return "changed"
            if (left := self._left(await self._now(feed))) is not None and left <= 0:
                return "over"

    @staticmethod
    async def _now(feed: LedgerFeed) -> datetime:
        """Return the time as the step sees it: this machine's clock may be another."""
        now = await feed.until(lambda ledger: ledger.now())
        assert now is not None  # noqa: S101 - for the type checker: it waits for an answer
        return now

    async def _said(self, now: datetime) -> str:
        demands = Demands.model_validate(self.demands)
        with await async_tickets(demands.system, self.connection, demands.fields) as system:
            ticket = await asyncio.to_thread(system.find, self.number)
        return told(lacks(demands, self.number, ticket, now, begun=self.begun))

    def _left(self, now: datetime) -> float | None:
        if not self.expires_at:
            return None
        return (datetime.fromisoformat(self.expires_at) - now).total_seconds()

    def _over(self, ledger: Ledger) -> bool | None:
        return True if flags_of(ledger, self.release_id).over else None
