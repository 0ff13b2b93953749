"""What every trigger does: it yields late, and does not leave a change half recorded when it is cancelled."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from relman_plugins.triggers.base import in_platform_thread
from relman_plugins.triggers.waits import HoldTrigger


def test_an_event_is_not_yielded_before_its_time() -> None:
    """Airflow can fail a task that is resumed within seconds of deferring."""
    deferred_at = time.time()
    trigger = HoldTrigger(release_id="r", deferred_at=deferred_at, minimum_s=0.3)
    asyncio.run(trigger.event({"state": "resumed"}))
    assert time.time() - deferred_at > 0.29


def test_who_is_cancelled_while_a_platform_changes_ends_when_the_change_is_done() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def change() -> None:
        begun.set()
        assert go_on.wait(30)
        done.set()

    async def cancelled() -> bool:
        task = asyncio.create_task(in_platform_thread(change))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        await asyncio.wait({task}, timeout=0.3)
        early = task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return early

    assert asyncio.run(cancelled()) is False
    assert done.is_set()
