"""Delivering messages as they come, for a minute at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import TriggerEvent

from relman_plugins import settings
from relman_plugins.errors import LedgerError
from relman_plugins.notifications.outbox import DrainResult, drain
from relman_plugins.notifications.slack import Slack, connect
from relman_plugins.triggers.base import ReleaseTrigger
from relman_plugins.triggers.feed import LedgerFeed, ledger_feed

PAUSE_S = 1.0


class DeliverTrigger(ReleaseTrigger):
    """Drain the outbox whenever the ledger grows, until ``until`` (seconds since the epoch).

    Whatever Slack does, only this waits. The event is ``{"sent", "failed", "pending"}``.
    """

    def __init__(self, *, until: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.until = until

    def arguments(self) -> dict[str, Any]:
        """Return until when to deliver."""
        return {"until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Deliver."""
        feed = await ledger_feed()
        slack: Slack | None = None
        sent = failed = pending = 0
        while time.time() < self.until:
            try:
                if slack is None:
                    slack = await asyncio.to_thread(connect)
                result = await asyncio.to_thread(_drain, feed, slack)
                sent, failed, pending = sent + result.sent, failed + result.failed, result.pending
            except LedgerError as error:
                self.log.warning("nothing is delivered while the ledger does not answer: %s", error)
            except Exception as error:
                # A missing connection or provider must not cost the housekeeping that shares this run.
                self.log.warning("Slack can't be told: %s", error)
            await asyncio.sleep(PAUSE_S)
            await feed.grown(max(0.0, min(self.until - time.time(), 10.0)))
        yield await self.event({"sent": sent, "failed": failed, "pending": pending})


def _drain(feed: LedgerFeed, slack: Slack) -> DrainResult:
    return drain(feed.source(), slack, base_url=settings.base_url())
