"""One poller for each source of numbers, for everybody in this process who waits for what it says."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from relman_plugins.errors import ClientError, ClientUnavailable, recordable
from relman_plugins.hooks.metrics import Opening, async_opening

if TYPE_CHECKING:
    from relman_plugins.clients.metrics.base import Answer, Question, Source

SLOTS = 8
"""So many questions does a source have to answer at once; each takes one connection."""

TRIES = 3
PAUSE_S = 0.25
"""The pause before the second try is random, up to this; it doubles with each try. "Full jitter" of
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/: who failed together does not come
back together."""

PATIENCE_S = 30.0
"""How long a question waits for its answer: in line, for tries and pauses."""

LONGEST_REST_S = 600.0
"""A source that asks to be left alone for longer is asked again after this."""

FRESH_S = 60.0
"""How long what a connection says is kept: a password that was changed is used within this time."""

log = logging.getLogger(__name__)


class Poller:
    """One source, asked for many. It belongs to one event loop.

    * A question that is being asked already is not asked a second time: all who wait get the one answer. Who
      is cancelled leaves the others waiting; when nobody waits any more, the question is dropped.
    * At most ``SLOTS`` questions are on their way at once; the others wait in line, and no longer than
      ``PATIENCE_S``. Another source has a poller of its own, so a slow one holds up nobody else.
    * A source that can't be reached is tried ``TRIES`` times. One that says when to come back (429 or 503
      with ``Retry-After``) is left alone by everybody until then.

    Nothing is kept here that has to survive: what was seen is in the ledger.
    """

    def __init__(self, kind: str, conn_id: str) -> None:
        self.kind, self.conn_id = kind, conn_id
        self.users = 0
        self._slots = asyncio.Semaphore(SLOTS)
        self._asked: dict[Question, _Shared] = {}
        self._rest_until = 0.0
        self._opened: _Opened | None = None
        self._opening = asyncio.Lock()

    async def number(self, question: Question) -> Answer:
        """Ask for one number; as ``clients.metrics.base.Source``."""
        shared = self._asked.get(question)
        if shared is None:
            shared = self._asked[question] = _Shared(asyncio.create_task(self._patiently(question)))
            shared.task.add_done_callback(lambda _: self._forget(question, shared))
        shared.waiters += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiters -= 1
            if not shared.waiters and not shared.task.done():
                # It ends a moment later; whoever asks the same meanwhile must not share its end.
                self._forget(question, shared)
                shared.task.cancel()

    async def aclose(self) -> None:
        """Drop what is being asked, and close the connections."""
        tasks = [shared.task for shared in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.retire()

    def _forget(self, question: Question, shared: _Shared) -> None:
        if self._asked.get(question) is shared:
            del self._asked[question]

    async def _patiently(self, question: Question) -> Answer:
        until = asyncio.get_running_loop().time() + PATIENCE_S
        try:
            async with asyncio.timeout_at(until):
                return await self._tried(question, until)
        except TimeoutError as error:
            raise ClientUnavailable(
                f"connection {self.conn_id!r} gave no answer within {PATIENCE_S:g} s, of which some may have "
                f"been spent in line: {len(self._asked)} questions wait, {SLOTS} are asked at once"
            ) from error

    async def _tried(self, question: Question, until: float) -> Answer:
        loop = asyncio.get_running_loop()
        for left in reversed(range(TRIES)):
            async with self._slots:
                await self._rest(until)
                try:
                    return await self._once(question)
                except ClientUnavailable as error:
                    if error.retry_after is not None:
                        rest = min(error.retry_after, LONGEST_REST_S)
                        self._rest_until = max(self._rest_until, loop.time() + rest)
                    if not left or self._rest_until > until:
                        raise
            # Not in the slot: others may have better luck meanwhile.
            await asyncio.sleep(random.uniform(0, PAUSE_S * 2 ** (TRIES - 1 - left)))  # noqa: S311
        raise AssertionError("the last try returns or raises")

    async def _rest(self, until: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._rest_until > until:
            raise ClientUnavailable(
                f"connection {self.conn_id!r} asked to be left alone for another "
                f"{self._rest_until - now:.0f} s: look less often, or let its owner raise the limit",
                self._rest_until - now,
            )
        if self._rest_until > now:
            await asyncio.sleep(self._rest_until - now)

    async def _once(self, question: Question) -> Answer:
        opened = await self._current()
        opened.users += 1
        try:
            return await opened.source.number(question)
        except ClientError as error:
            if error.status in (401, 403):
                opened.until = 0.0  # the login may have been changed in the connection
            raise
        except Exception as error:
            # A client that breaks must not take the watch along: what it was asked has no answer.
            log.exception("connection %s could not be asked", self.conn_id)
            raise ClientUnavailable(
                f"{opened.source.label} could not be asked: {recordable(error)}"
            ) from error
        finally:
            opened.users -= 1
            if opened.retired and not opened.users:
                await opened.source.aclose()

    async def _current(self) -> _Opened:
        """Return the client of what the connection says now, or said a moment ago."""
        loop = asyncio.get_running_loop()
        async with self._opening:
            opened = self._opened
            if opened is not None and opened.until > loop.time():
                return opened
            try:
                opening = await async_opening(self.kind, self.conn_id)
            except ClientError as error:
                if opened is None:
                    raise
                log.warning("going on with what connection %s said before: %s", self.conn_id, error)
                opening = opened.opening
            if opened is None or opening.told != opened.opening.told:
                self._opened = self._made(opening)
                if opened is not None:
                    await opened.retire()
                opened = self._opened
            opened.until = loop.time() + FRESH_S
            return opened

    def _made(self, opening: Opening) -> _Opened:
        try:
            return _Opened(opening)
        except ClientError:
            raise
        except Exception as error:
            # A library's own no, of a host that can't be one say: its words may quote a login.
            log.exception("connection %s can't be used", self.conn_id)
            raise ClientUnavailable(
                f"what connection {self.conn_id!r} says can't be used: {recordable(error)}"
            ) from error


class _Shared:
    """A question that is being asked, and how many wait for its answer."""

    def __init__(self, task: asyncio.Task[Answer]) -> None:
        self.task = task
        self.waiters = 0


class _Opened:
    """A client, and how many questions it is answering."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.source: Source = opening.open()
        self.until = 0.0
        self.users = 0
        self.retired = False

    async def retire(self) -> None:
        """Close it as soon as it answers nobody."""
        self.retired = True
        if not self.users:
            await self.source.aclose()


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Poller]] = WeakKeyDictionary()


@asynccontextmanager
async def numbers(kind: str, conn_id: str) -> AsyncIterator[Poller]:
    """Use this process's poller of a source; its connections are closed when nobody uses it any more."""
    mine = _pollers.setdefault(asyncio.get_running_loop(), {})
    poller = mine.get((kind, conn_id)) or mine.setdefault((kind, conn_id), Poller(kind, conn_id))
    poller.users += 1
    try:
        yield poller
    finally:
        poller.users -= 1
        if not poller.users:
            del mine[kind, conn_id]
            await poller.aclose()
