"""Taking a candidate's traffic back: at once, whatever else is the matter."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relman_plugins import telemetry
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.state import served_since
from relman_plugins.errors import LedgerError, StaleToken
from relman_plugins.hooks.change import Change, finish, started
from relman_plugins.hooks.platform import async_platform_of
from relman_plugins.triggers.base import in_platform_thread

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

    from relman_plugins.hooks.recorder import Recorder
    from relman_plugins.triggers.watch import Watch

TIMEOUT_S = 30.0
PAUSE_S = 1.0
PATIENCE_S = 300.0
"""How long it is tried here; then the release's rollback and maintenance go on, and people are told."""


@dataclass
class Withdrawal:
    """One taking back of the traffic of what is watched, for a reason."""

    watch: Watch
    recorder: Recorder
    reason: str
    log: Logger
    aborted: bool = False
    """Whether a person asked for it, by aborting the release."""

    async def run(self) -> str:
        """Converge to the state without the candidate; return "" when it is done, else why it can't be.

        Tried again for ``PATIENCE_S``, except when another release has taken the environment since: then
        there is nothing of this one left to take back.
        """
        about = {"environment": self.watch.environment.name, "version": self.watch.candidate.version}
        with telemetry.span("withdrawal", release_id=self.watch.release_id, reason=self.reason, **about):
            stuck = await self._until_done()
            telemetry.note(stuck=stuck or None)
        return stuck

    async def _until_done(self) -> str:
        watch, began = self.watch, time.monotonic()
        change = Change(
            environment=watch.environment.name,
            service=watch.service,
            step=watch.step,
            desired=watch.withdraw,
            token=watch.token,
            attempt=f"{watch.attempt}:withdraw",
            previous=watch.stable,
        )
        while True:
            try:
                platform = await async_platform_of(watch.environment)
                await in_platform_thread(self._once, change, platform, began)
            except StaleToken as error:
                self.log.error("the traffic is not taken back: %s", error)
                return str(error)
            except Exception as error:
                # Whatever it is, dying of it would leave the traffic where it is.
                if time.monotonic() - began > PATIENCE_S:
                    return str(error) or type(error).__name__
                self.log.error("could not take the traffic back, trying again: %s", error)
                await asyncio.sleep(PAUSE_S)
            else:
                return ""

    def _once(self, change: Change, platform: Any, began: float) -> None:
        watch = self.watch
        # The traffic does not wait for the ledger: what is recorded before it is only recorded after it.
        late: list[NewEvent] = [started(change, watch.release_id)]
        now = finish(change, platform, late.append, watch.release_id, TIMEOUT_S)
        seconds = round(time.monotonic() - began, 3)
        self.log.warning("the candidate's traffic is withdrawn after %s s: %s", seconds, self.reason)
        late.append(
            NewEvent(
                kind=Kind.TRAFFIC_WITHDRAWN,
                key=f"{watch.prefix}:withdrawn",
                step=watch.step,
                environment=watch.environment.name,
                data={
                    "reason": self.reason,
                    "seconds": seconds,
                    "version": watch.candidate.version,
                    "served": served_since(watch.before, now, watch.candidate),
                    **({"aborted": True} if self.aborted else {}),
                },
                at=datetime.now(UTC),
            )
        )
        for event in late:
            try:
                self.recorder.record(event)
            except (LedgerError, OSError) as error:
                # Neither ledger nor spool. The platform still shows what was done, and steps ask it.
                self.log.error("%s could not be recorded: %s", event.key, error)
