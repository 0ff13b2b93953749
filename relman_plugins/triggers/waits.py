"""Waiting for a window, for a time, for a lock, and for the end of a hold."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import TriggerEvent

from relman_plugins import telemetry
from relman_plugins.domain.event import Kind
from relman_plugins.hooks.ledger import flags_of
from relman_plugins.triggers.base import ReleaseTrigger
from relman_plugins.triggers.feed import LONGEST_SLEEP_S, LedgerFeed, ledger_feed

if TYPE_CHECKING:
    from relman_plugins.calendars.model import StartedBy
    from relman_plugins.calendars.weekly import Answer
    from relman_plugins.ledger.api import Ledger


class WindowTrigger(ReleaseTrigger):
    """Wait until a gate's windows and calendars are open; no polling: it sleeps to the exact opening.

    The event is ``{"state": "open" | "decided" | "changed" | "held" | "resumed" | "expired" | "aborted"}``.
    An abort is seen at once, and so is what people decide who may let the release past what is closed.
    ``changed``: only what leaves room for exceptions is in the way now, and more of it than anybody was asked
    about; or its windows are others by now.
    A release that is held at the end does not expire: its task waits for the end of the hold, then anew. Nor
    does one that was held for a part of the wait: its task waits anew from the resumption.

    :param gate: windows and calendars as they are in force.
    :param step: the step of the gate; empty in what an older relman stored.
    :param changed: the last event that says what is in force; 0: none.
    :param started_by: ``person`` or ``schedule``: who started the release.
        An older relman stored weekly windows only, as ``windows``.
    :param expires_at: when to give up, ISO 8601.
    :param need_s: for how many seconds the gate must stay open from when it is gone through.
    :param opens_at: when it opens, ISO 8601, as the step was told; empty if it doesn't.
    :param spread_s: the releases that wait for one opening are spread over so many seconds from there on.
    :param asks: the gate at which those are asked; empty if nobody is.
    :param asked: ids of the closings that an exception would have been about when the step began to wait.
    :param excepted: ids of the closings that people have let the release past.
    :param since: when the patience began, ISO 8601; empty in what an older relman stored: then no hold that
        is over counts.
    """

    def __init__(
        self,
        *,
        release_id: str,
        expires_at: str,
        gate: dict[str, Any] | None = None,
        step: str = "",
        changed: int = 0,
        started_by: StartedBy = "person",
        since: str = "",
        asks: str = "",
        asked: list[str] | None = None,
        excepted: list[str] | None = None,
        need_s: float = 0.0,
        opens_at: str = "",
        spread_s: float = 0.0,
        **kwargs: Any,
    ) -> None:
        stored = {"windows": kwargs.pop("windows", [])}
        kwargs.pop("firm", None)  # an older relman stored it; what it was for is seen by looking
        super().__init__(**kwargs)
        self.release_id = release_id
        self.gate = gate or stored
        self.step = step
        self.changed = changed
        self.started_by = started_by
        self.since = since
        self.asks = asks
        self.asked = asked or []
        self.excepted = excepted or []
        self.need_s = need_s
        self.opens_at = opens_at
        self.spread_s = spread_s
        self.expires_at = expires_at

    def arguments(self) -> dict[str, Any]:
        """Return what is waited for."""
        return {
            "release_id": self.release_id,
            "gate": self.gate,
            "step": self.step,
            "changed": self.changed,
            "started_by": self.started_by,
            "expires_at": self.expires_at,
            "since": self.since,
            "asks": self.asks,
            "asked": self.asked,
            "excepted": self.excepted,
            "need_s": self.need_s,
            "opens_at": self.opens_at,
            "spread_s": self.spread_s,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep to the opening, or to the end of the patience."""
        with telemetry.span("window", release_id=self.release_id):
            state = await self._opening()
            telemetry.note(state=state)
        yield await self.event({"state": state})

    async def _opening(self) -> str:
        from relman_plugins.calendars.gate import Gate

        gate = Gate.of(self.gate)
        expires_at = datetime.fromisoformat(self.expires_at)
        feed = await ledger_feed()
        while True:
            # As the step will see it: this machine's clock may be another.
            now = await feed.until(lambda ledger: ledger.now())
            assert now is not None  # noqa: S101 - for the type checker: the feed waits for an answer
            # Many rules take a tenth of a second, and others' watches are waiting in this loop.
            look = await asyncio.to_thread(gate.look, now, self.started_by, self.need_s, self.excepted)
            said = look.answer
            if said.open:
                turn = self.turn(said, now)
                if turn <= now:
                    return "open"
                if seen := await self._sleep(feed, turn, (turn - now).total_seconds()):
                    return seen
                continue
            if not {one.id for one in look.asks} <= set(self.asked):
                return "changed"
            if now >= expires_at:
                return await feed.until(self._ended) or "expired"
            wake = min(said.next_open or expires_at, look.asks_at or expires_at, expires_at)
            left = min((wake - now).total_seconds(), LONGEST_SLEEP_S)
            if seen := await self._sleep(feed, wake, left):
                return seen

    async def _sleep(self, feed: LedgerFeed, wake: datetime, at_most_s: float) -> str | None:
        """Wait until it is ``wake`` by the ledger's clock, which may be set, or return what was seen before.

        At most ``at_most_s`` seconds by this machine's clock.
        """

        def question(ledger: Ledger) -> str | None:
            seen = self._seen(ledger)
            return seen if seen or ledger.now() < wake else ""

        return await feed.until(question, at_most_s) or None

    def turn(self, said: Answer, now: datetime) -> datetime:
        """Return when this release's turn is of those that wait for the opening: not before, and soon after.

        The same whenever it is asked, by the release's id. At most a tenth of the opening is used for that.
        """
        if not self.opens_at:
            return now
        opens_at = datetime.fromisoformat(self.opens_at)
        spread_s = self.spread_s
        if said.next_close is not None:
            lasts = (said.next_close - opens_at).total_seconds() - self.need_s
            spread_s = min(spread_s, max(lasts, 0.0) / 10)
        share = int.from_bytes(sha256(self.release_id.encode()).digest()[:4], "big") / 2**32
        return opens_at + timedelta(seconds=spread_s * share)

    def _seen(self, ledger: Ledger) -> str | None:
        if flags_of(ledger, self.release_id).over:
            return "aborted"
        changes = ledger.events(self.release_id, kinds=[Kind.CALENDAR_CHANGED])
        if any(e.step == self.step and e.id > self.changed for e in changes):
            return "changed"
        gate = ledger.votes.gate(self.release_id, self.asks) if self.asks else None
        return "decided" if gate is not None and gate.state != "open" else None

    def _ended(self, ledger: Ledger) -> str:
        flags = flags_of(ledger, self.release_id)
        if flags.over:
            return "aborted"
        if flags.held_by:
            return "held"
        since = datetime.fromisoformat(self.since or self.expires_at)
        resumed = ledger.events(self.release_id, kinds=[Kind.RELEASE_RESUMED])
        return "resumed" if any(e.at > since for e in resumed) else "expired"


class SoakTrigger(ReleaseTrigger):
    """Wait for a time, or until somebody aborts the release. The event is ``{"state": "over" | "aborted"}``.

    :param until: the end of the wait by the ledger's clock, ISO 8601.
    """

    def __init__(self, *, release_id: str, until: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release_id = release_id
        self.until = until

    def arguments(self) -> dict[str, Any]:
        """Return what is waited for."""
        return {"release_id": self.release_id, "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep to the end."""
        feed = await ledger_feed()
        aborted = await feed.before(datetime.fromisoformat(self.until), self._aborted)
        yield await self.event({"state": "aborted" if aborted else "over"})

    def _aborted(self, ledger: Ledger) -> bool | None:
        flags = flags_of(ledger, self.release_id)
        return True if flags.over else None


class _AskingTrigger(ReleaseTrigger):
    """Wait for what is no event of the release: the ledger is asked again and again; an abort ends it."""

    span: ClassVar[str]
    """What the wait is called in traces."""
    pause_s: ClassVar[float]

    def __init__(self, *, release_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release_id = release_id

    @abstractmethod
    def over(self, ledger: Ledger) -> str | None:
        """Return the state in which the wait ends; None while it goes on."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until there is an answer; the event is ``{"state": answer | "aborted"}``."""
        feed = await ledger_feed()
        state = None
        about = {name: value for name, value in self.arguments().items() if isinstance(value, str)}
        with telemetry.span(self.span, **about):
            while state is None:
                state = await feed.until(self._state, self.pause_s)
            telemetry.note(state=state)
        yield await self.event({"state": state})

    def _state(self, ledger: Ledger) -> str | None:
        return "aborted" if flags_of(ledger, self.release_id).over else self.over(ledger)


class LockTrigger(_AskingTrigger):
    """Wait until nobody else holds the lock of an environment and service: ``free``, also when it expires."""

    span, pause_s = "lock", 15.0

    def __init__(self, *, environment: str, service: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.service = service

    def arguments(self) -> dict[str, Any]:
        """Return whose lock is waited for."""
        return {"release_id": self.release_id, "environment": self.environment, "service": self.service}

    def over(self, ledger: Ledger) -> str | None:
        """Return ``free`` when there is no such lock."""
        now = ledger.now()
        others = [
            lock
            for lock in ledger.locks.held()
            if (lock.environment, lock.service) == (self.environment, self.service)
            and lock.release_id != self.release_id
            and lock.expires_at > now
        ]
        return None if others else "free"


class FreezeTrigger(_AskingTrigger):
    """Wait until nothing that people have frozen is about a release's change any more: ``thawed``.

    Or until people have decided whether it may go past what is frozen (``decided``); or have frozen more than
    they were asked about, or lifted the last of what leaves no room for exceptions (``changed``): the step
    sees for itself what that means.

    :param labels: of the release's pipeline.
    :param frozen: ids of the freezes that it waits for.
    :param strict: ids of those that leave no room for exceptions.
    :param gate: where people are asked; empty if they are not, or have said no.
    """

    span, pause_s = "freeze", 5.0

    def __init__(
        self,
        *,
        pipeline: str,
        environment: str,
        labels: dict[str, str] | None = None,
        frozen: list[int] | None = None,
        strict: list[int] | None = None,
        gate: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.environment = environment
        self.labels = labels or {}
        self.frozen = frozen
        self.strict = strict or []
        self.gate = gate

    def arguments(self) -> dict[str, Any]:
        """Return whose change of which environment waits, and for what."""
        return {
            "release_id": self.release_id,
            "pipeline": self.pipeline,
            "environment": self.environment,
            "labels": self.labels,
            "frozen": self.frozen,
            "strict": self.strict,
            "gate": self.gate,
        }

    def over(self, ledger: Ledger) -> str | None:
        """Return why the step may look again; None while there is nothing to be seen."""
        left = ledger.freezes.holding(self.pipeline, self.environment, self.labels)
        if not left:
            return "thawed"
        ids = {freeze.id for freeze in left}
        if self.frozen is not None and not ids <= set(self.frozen):
            return "changed"
        if self.strict and not ids & set(self.strict):
            return "changed"
        gate = ledger.votes.gate(self.release_id, self.gate) if self.gate else None
        return "decided" if gate is not None and gate.state != "open" else None


class HoldTrigger(ReleaseTrigger):
    """Wait until the person who holds a release lets it go on, or somebody aborts it."""

    def __init__(self, *, release_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release_id = release_id

    def arguments(self) -> dict[str, Any]:
        """Return which release is held."""
        return {"release_id": self.release_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the ledger."""
        feed = await ledger_feed()
        with telemetry.span("hold", release_id=self.release_id):
            state = await feed.until(self._resumed)
            telemetry.note(state=state)
        yield await self.event({"state": state})

    def _resumed(self, ledger: Ledger) -> str | None:
        flags = flags_of(ledger, self.release_id)
        if flags.over:
            return "aborted"
        return None if flags.held_by else "resumed"
