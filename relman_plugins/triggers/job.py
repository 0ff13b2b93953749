"""Waiting for a try of a suite that runs as a Job on the platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.triggers.base import TriggerEvent

from relman_plugins import telemetry
from relman_plugins.errors import PlatformError, PlatformRejected, PlatformUnavailable
from relman_plugins.hooks.ledger import flags_of
from relman_plugins.hooks.platform import jobs_maker
from relman_plugins.plan.model import EnvironmentPlan
from relman_plugins.triggers.base import ReleaseTrigger, in_job_thread
from relman_plugins.triggers.feed import ledger_feed

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger
    from relman_plugins.platforms.base import Jobs

LOOK_S = 5.0
"""Seconds between two looks."""

REMOVAL_S = 5.0
"""How long a Job is tried to be removed when the release is over, which what takes it back waits for.

The release's end tries it once more.
"""

MOST_LOGGED = 1024 * 1024
"""Characters of one try's log that are passed on; what is beyond is in the cluster."""

T = TypeVar("T")


class JobTrigger(ReleaseTrigger):
    """Wait until a Job has ended, and pass its log on; when the release is over, remove it at once.

    The event is ``{"state": "ended" | "gone" | "refused" | "over"}``; what it came to is the platform's to
    say. A Job that can't start, or takes longer than it may, is stopped here. A platform that does not answer
    is asked again. A trigger that is given up leaves the Job alone: another try of the task goes on with it.

    :param environment: where it runs, as JSON.
    :param name: of the Job.
    :param timeout_s: how long its command may run.
    :param look_s: seconds between two looks.
    """

    def __init__(
        self,
        *,
        release_id: str,
        environment: dict[str, Any],
        name: str,
        timeout_s: float,
        look_s: float = LOOK_S,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.release_id, self.name = release_id, name
        self.environment = EnvironmentPlan.model_validate(environment)
        self.timeout_s, self.look_s = timeout_s, look_s
        self._jobs: Jobs | None = None
        self._after, self._logged, self._said = "", 0, ""

    def arguments(self) -> dict[str, Any]:
        """Return what is waited for, and where."""
        return {
            "release_id": self.release_id,
            "environment": self.environment.model_dump(mode="json"),
            "name": self.name,
            "timeout_s": self.timeout_s,
            "look_s": self.look_s,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until it has ended."""
        feed = await ledger_feed()
        state: str | None = None
        # Beside the looks: one may take as long as a cluster that does not answer, or for ever.
        over = asyncio.create_task(feed.until(self._over, None, self.release_id))
        try:
            with telemetry.span("job", release_id=self.release_id, job=self.name):
                while state is None:
                    state = await self._look_until(over)
                telemetry.note(state=state)
        finally:
            over.cancel()
        yield await self.event({"state": state})

    async def _look_until(self, over: asyncio.Task[bool | None]) -> str | None:
        """Look once, and wait for the next time; when the release is over meanwhile, remove the Job."""
        look = asyncio.create_task(self._look())
        try:
            await asyncio.wait({look, over}, return_when=asyncio.FIRST_COMPLETED)
            state = look.result() if look.done() else None
        finally:
            look.cancel()
        if state is None:
            await asyncio.wait({over}, timeout=self.look_s)
        if state is None and over.done():
            over.result()  # raises what has ended it instead
            return await self._withdrawn()
        return state

    async def _look(self) -> str | None:
        look = await self._asked(lambda jobs: jobs.look(self.name, self.timeout_s))
        if isinstance(look, PlatformError):
            # What a platform refuses now, it refuses again: the task asks once more, and ends with its words.
            return None if isinstance(look, PlatformUnavailable) else "refused"
        if look is None:
            return "gone"
        if look.said and look.said != self._said:
            self.log.warning("%s: %s", self.name, look.said)
            self._said = look.said
        if look.hopeless:
            stopped = await self._asked(lambda jobs: jobs.stop(self.name, look.said))
            return "refused" if isinstance(stopped, PlatformRejected) else None
        while await self._pass_on() and look.ended:
            pass
        return "ended" if look.ended else None

    async def _pass_on(self) -> bool:
        """Write new lines of its log into the task's; say whether there were any."""
        if self._logged >= MOST_LOGGED:
            return False
        new = await self._asked(lambda jobs: jobs.log(self.name, self._after))
        if isinstance(new, PlatformRejected):
            # Said once: the suite does not depend on it.
            self._logged = MOST_LOGGED
        if isinstance(new, PlatformError):
            return False
        lines, self._after = new
        for line in lines:
            self.log.info("%s", line)
            self._logged += len(line) + 1
        if self._logged >= MOST_LOGGED:
            self.log.warning("the log of %s is long: what follows is in the cluster only", self.name)
        return bool(lines)

    async def _withdrawn(self) -> str:
        """Remove the Job, as long as that is worth while: an abort must not wait for a cluster."""
        try:
            async with asyncio.timeout(REMOVAL_S):
                while isinstance(found := await self._asked(self._remove), PlatformUnavailable):
                    await asyncio.sleep(self.look_s)
        except TimeoutError:
            found = PlatformUnavailable("the cluster has not done it in time")
        if isinstance(found, PlatformError):
            self.log.error("the release is over, and %s is not removed: its close tries again", self.name)
        else:
            self.log.warning("the release is over: %s is removed", self.name)
        return "over"

    def _remove(self, jobs: Jobs) -> int:
        return jobs.remove(self.release_id)

    async def _asked(self, question: Callable[[Jobs], T]) -> T | PlatformError:
        try:
            if self._jobs is None:
                make = await jobs_maker(self.environment)
                self._jobs = await in_job_thread(self.environment.connection, make)
            return await in_job_thread(self.environment.connection, question, self._jobs)
        except PlatformError as error:
            # With a login that is fresh next time.
            self._jobs = None
            log = self.log.warning if isinstance(error, PlatformUnavailable) else self.log.error
            log("%s: %s", self.name, error)
            return error

    def _over(self, ledger: Ledger) -> bool | None:
        return True if flags_of(ledger, self.release_id).over else None
