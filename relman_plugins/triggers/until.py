"""Waiting for a time of which no release is in the way: a train has none yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import TriggerEvent

from relman_plugins.triggers.base import ReleaseTrigger
from relman_plugins.triggers.feed import LONGEST_SLEEP_S


class UntilTrigger(ReleaseTrigger):
    """Wait until a time. The event is ``{"state": "over"}``.

    :param until: ISO 8601.
    """

    def __init__(self, *, until: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.until = until

    def arguments(self) -> dict[str, Any]:
        """Return until when."""
        return {"until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep; a clock that is moved meanwhile is noticed within the hour."""
        until = datetime.fromisoformat(self.until)
        while (left := (until - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(min(left, LONGEST_SLEEP_S))
        yield await self.event({"state": "over"})
