"""Waiting for the ledger, also when its connection can't be read at first."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.errors import LedgerUnavailable
from relman_plugins.ledger.api import Ledger
from relman_plugins.ledger.rehearsal_clock import ahead_by
from relman_plugins.triggers.feed import LedgerFeed
from tests.steps.world import World


def test_a_connection_that_was_unreadable_once_is_read_again(world: World) -> None:
    def unreadable() -> Ledger:
        raise LedgerUnavailable("the secrets backend was away")

    async def asked() -> str | None:
        return await LedgerFeed(unreadable).until(lambda ledger: repr(ledger), 30)

    assert "ledger.db" in (asyncio.run(asked()) or "")


def test_a_clock_that_is_set_wakes_those_who_wait_for_a_time(world: World, tmp_path: Path) -> None:
    ahead = tmp_path / "ahead"
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock=ahead_by(ahead))
    ledger.migrate()
    due, asked = ledger.now() + timedelta(hours=2), asyncio.Event()

    async def waited() -> str | None:
        loop = asyncio.get_running_loop()

        def question(asked_of: Ledger) -> str | None:
            loop.call_soon_threadsafe(asked.set)
            return "due" if asked_of.now() >= due else None

        waiting = asyncio.create_task(LedgerFeed(lambda: ledger).until(question, 3600))
        await asked.wait()
        ahead.write_text("7300")
        return await asyncio.wait_for(waiting, 60)

    assert asyncio.run(waited()) == "due"
    ahead.write_text("tomorrow")
    with pytest.raises(LedgerUnavailable, match="says no number of seconds"):
        ledger.now()
    ledger.close()


def test_a_release_is_looked_at_anew_only_after_an_event_of_its_own(world: World) -> None:
    mine, other = world.open(), world.open("1.2.0", "run-2")
    asked: list[int] = []

    def looked(ledger: Ledger) -> str | None:
        asked.append(ledger.last_event_id())
        return "seen" if "mine" in [e.key for e in ledger.events(mine.id)] else None

    def record(release: str, key: str) -> None:
        world.ledger.record(release, NewEvent(kind=Kind.STEP_STARTED, key=key, step="build"))

    async def told() -> None:
        feed = LedgerFeed(lambda: world.ledger)
        waiting = asyncio.create_task(feed.until(looked, 30, of=mine.id))
        # The first look of the poll says nothing of what was before, so that everybody looks once more.
        await feed.grown(30)
        for n in range(4):
            grown = asyncio.create_task(feed.grown(30))
            await asyncio.sleep(0)
            record(other.id, f"other-{n}")
            await grown
        assert len(asked) <= 2
        record(mine.id, "mine")
        assert await waiting == "seen"

    asyncio.run(asyncio.wait_for(told(), 60))


def test_an_error_of_another_kind_does_not_end_the_poll_that_everybody_waits_for(world: World) -> None:
    def broken() -> Ledger:
        raise RuntimeError("a driver's own error")

    asyncio.run(asyncio.wait_for(LedgerFeed(broken).grown(60), 30))
