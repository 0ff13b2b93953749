"""Waiting for the ledger, also when its connection can't be read at first."""

from __future__ import annotations

import asyncio

from relman_plugins.errors import LedgerUnavailable
from relman_plugins.ledger.api import Ledger
from relman_plugins.triggers.feed import LedgerFeed
from tests.steps.world import World


def test_a_connection_that_was_unreadable_once_is_read_again(world: World) -> None:
    def unreadable() -> Ledger:
        raise LedgerUnavailable("the secrets backend was away")

    async def asked() -> str | None:
        return await LedgerFeed(unreadable).until(lambda ledger: repr(ledger), 30)

    assert "ledger.db" in (asyncio.run(asked()) or "")


def test_an_error_of_another_kind_does_not_end_the_poll_that_everybody_waits_for(world: World) -> None:
    def broken() -> Ledger:
        raise RuntimeError("a driver's own error")

    asyncio.run(asyncio.wait_for(LedgerFeed(broken).grown(60), 30))
