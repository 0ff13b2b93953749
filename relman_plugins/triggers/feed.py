"""One poll of the ledger for everybody in this process who waits for it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from relman_plugins.errors import LedgerError
from relman_plugins.hooks.ledger import LedgerSource, async_ledger_source
from relman_plugins.triggers.base import in_ledger_thread

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger

POLL_S = 1.0
LEAP_S = 2.0
"""By how much the ledger's clock must have been set for its waiters to hear of it."""
RETRY_S = 3.0
LONGEST_SLEEP_S = 3600.0

log = logging.getLogger(__name__)
T = TypeVar("T")


class LedgerFeed:
    """Tells its waiters when the ledger has grown, or its clock was set.

    However many releases wait, the database is asked one question a second: the id of the newest event; and
    when it is a newer one, of which releases there are such. Nobody asks while nobody waits. A ledger that
    does not answer is asked again; those who wait go on waiting.
    """

    def __init__(self, source: LedgerSource) -> None:
        self.source = source
        self._grown = asyncio.Condition()
        self._last = -1
        self._touched: dict[str, int] = {}
        """The newest event that this feed knows of each release; ``""`` is all of them."""
        self._leaps, self._offset = 0, math.nan
        self._waiters = 0
        self._poller: asyncio.Task[None] | None = None

    async def until(
        self, question: Callable[[Ledger], T | None], at_most_s: float | None = None, of: str = ""
    ) -> T | None:
        """Ask ``question`` now, and whenever the ledger has grown or its clock leapt, until it answers.

        ``of`` is a release, if only its own events change the answer; otherwise those of any release make it
        ask. Returns None when ``at_most_s`` seconds have passed first. The question runs in a thread.
        """
        loop = asyncio.get_running_loop()
        deadline = None if at_most_s is None else loop.time() + at_most_s
        self._waiters += 1
        try:
            self._start_polling()
            while True:
                seen = self._state
                answer, failed = await self._ask(question)
                if answer is not None:
                    return answer
                left = None if deadline is None else deadline - loop.time()
                if left is not None and left <= 0:
                    return None
                patience = RETRY_S if failed else left
                await self._wait(seen, patience if left is None else min(left, patience or left), of)
        finally:
            self._waiters -= 1

    async def before(self, until: datetime, question: Callable[[Ledger], T | None]) -> T | None:
        """Ask ``question`` likewise; None once it is ``until`` by the ledger's clock, which may be set."""

        def look(ledger: Ledger) -> tuple[T | None, float]:
            # The question first: a clock that can't be read must not keep an abort from being seen.
            answer = question(ledger)
            left = 0.0 if answer is not None else (until - ledger.now()).total_seconds()
            return answer, left

        def news(ledger: Ledger) -> bool | None:
            return True if look(ledger)[1] <= 0 else None

        while True:
            seen = await self.until(look)
            assert seen is not None  # noqa: S101 - for the type checker: it waits for an answer
            if seen[1] <= 0:
                return seen[0]
            await self.until(news, min(seen[1], LONGEST_SLEEP_S))

    async def grown(self, at_most_s: float) -> None:
        """Wait until the ledger grows, at most so many seconds."""
        self._waiters += 1
        try:
            self._start_polling()
            await self._wait(self._state, at_most_s)
        finally:
            self._waiters -= 1

    def _start_polling(self) -> None:
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())

    async def _ask(self, question: Callable[[Ledger], T | None]) -> tuple[T | None, bool]:
        try:
            return await in_ledger_thread(lambda: question(self.source())), False
        except LedgerError as error:
            log.warning("the ledger does not answer, waiting for it: %s", error)
            return None, True

    @property
    def _state(self) -> tuple[int, int]:
        return self._last, self._leaps

    async def _wait(self, seen: tuple[int, int], patience: float | None, of: str = "") -> None:
        def news() -> bool:
            last, leaps = seen
            if not of or leaps != self._leaps:
                return self._state != seen
            return max(self._touched.get(of, -1), self._touched.get("", -1)) > last

        async def grown() -> None:
            async with self._grown:
                await self._grown.wait_for(news)

        try:
            await asyncio.wait_for(grown(), patience)
        except TimeoutError:
            return

    async def _poll(self) -> None:
        while self._waiters:
            touched: set[str] = set()
            try:
                last, offset, touched = await in_ledger_thread(self._look)
                leapt = abs(offset - self._offset) > LEAP_S
                self._offset = offset
            except Exception as error:
                # Whatever it is: without the poll those who wait without a limit would wait for ever.
                last, leapt = self._last, False
                if not isinstance(error, LedgerError):
                    log.exception("the ledger can't be polled; trying again")
                # The connection may have been unreadable, or be another one by now.
                self.source = await async_ledger_source()
            if last != self._last or leapt:
                async with self._grown:
                    self._last, self._leaps = last, self._leaps + leapt
                    self._touched |= dict.fromkeys(touched, last)
                    self._grown.notify_all()
            await asyncio.sleep(POLL_S)

    def _look(self) -> tuple[int, float, set[str]]:
        """Return the newest event's id, how far the ledger's clock is ahead of the steady one, and the news.

        That is the releases with newer events: all of them at first, or when the ledger is another one.
        """
        ledger, before = self.source(), self._last
        last, offset = ledger.last_event_id(), ledger.now().timestamp() - time.monotonic()
        if last == before:
            return last, offset, set()
        return last, offset, ledger.recorded_since(before) if 0 <= before < last else {""}


_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, LedgerFeed] = WeakKeyDictionary()


async def ledger_feed() -> LedgerFeed:
    """Return this process's feed."""
    loop = asyncio.get_running_loop()
    if loop not in _feeds:
        source = await async_ledger_source()
        _feeds.setdefault(loop, LedgerFeed(source))
    return _feeds[loop]
