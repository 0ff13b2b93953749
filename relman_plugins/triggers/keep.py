"""Waiting while the old version stands by, ready to take the traffic back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from relman_plugins import settings, telemetry
from relman_plugins.hooks.ledger import async_ledger_source, flags_of
from relman_plugins.hooks.recorder import Recorder
from relman_plugins.triggers.base import ReleaseTrigger
from relman_plugins.triggers.feed import LONGEST_SLEEP_S, ledger_feed
from relman_plugins.triggers.watch import Watch
from relman_plugins.triggers.withdrawal import Withdrawal

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger


class KeepTrigger(ReleaseTrigger):
    """Wait for a moment; when a person aborts before it, take the traffic back at once.

    The event is ``{"state": "over" | "aborted" | "closed"}``; the task asks the ledger what it means.

    :param watch: the change that may be taken back, as JSON.
    :param until: seconds since the epoch, by the machines' clock, as the end of a change has them.
    """

    def __init__(self, *, watch: dict[str, Any], until: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watch = Watch.model_validate(watch)
        self.until = until

    def arguments(self) -> dict[str, Any]:
        """Return what is kept, and until when."""
        return {"watch": self.watch.model_dump(mode="json"), "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        feed = await ledger_feed()
        state: str | None = None
        with telemetry.span(
            "keep", release_id=self.watch.release_id, environment=self.watch.environment.name
        ):
            while state is None and (left := self.until - time.time()) > 0:
                state = await feed.until(self._stopped, min(left, LONGEST_SLEEP_S))
            telemetry.note(state=(state or "over").partition(" ")[0])
        if state and state.startswith("aborted"):
            recorder = Recorder(
                self.watch.release_id,
                await async_ledger_source(),
                spool=settings.spool_folder(),
                warn=lambda text: self.log.warning("%s", text),
            )
            await Withdrawal(self.watch, recorder, state, self.log, aborted=True).run()
        yield await self.event({"state": (state or "over").partition(" ")[0]})

    def _stopped(self, ledger: Ledger) -> str | None:
        flags = flags_of(ledger, self.watch.release_id)
        if flags.closed:
            return "closed"
        return f"aborted by {flags.aborted_by}: {flags.abort_reason}" if flags.aborted_by else None
