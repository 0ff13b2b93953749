"""What every trigger of relman shares: when it may yield, and how it does blocking work."""

from __future__ import annotations

import asyncio
import contextvars
import time
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

P = ParamSpec("P")
R = TypeVar("R")

PROMPT_S = 2.0
"""How long after its task deferred a trigger usually starts, by clocks that agree."""

_LEDGER_THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="relman-ledger")
_PLATFORM_THREADS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="relman-platform")

_JOB_THREADS: dict[str, ThreadPoolExecutor] = {}
"""By connection."""


async def in_ledger_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking ledger call off the triggerer's loop, in a bounded pool of its own."""
    return await asyncio.get_running_loop().run_in_executor(
        _LEDGER_THREADS, lambda: function(*args, **kwargs)
    )


async def in_platform_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a platform call to its end even when the trigger is cancelled meanwhile.

    The thread can't be interrupted, and the caller's cancellation is passed on only once it is done: traffic
    is never left half-moved, and the caller's record of it is written.
    """
    # The span of the caller is the parent of what the thread opens.
    seen = contextvars.copy_context()
    work = asyncio.get_running_loop().run_in_executor(
        _PLATFORM_THREADS, lambda: seen.run(function, *args, **kwargs)
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


async def in_job_thread(connection: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a platform call about a suite, in a bounded pool of the connection's own.

    It moves no traffic, and must not keep what does waiting for a thread, however many suites there are on a
    platform that does not answer; nor the suites on another.
    """
    if connection not in _JOB_THREADS:
        _JOB_THREADS[connection] = ThreadPoolExecutor(max_workers=8, thread_name_prefix="relman-job")
    return await asyncio.get_running_loop().run_in_executor(
        _JOB_THREADS[connection], lambda: function(*args, **kwargs)
    )


class ReleaseTrigger(BaseTrigger):
    """A trigger that yields once, no earlier than ``minimum_s`` after its task deferred.

    Airflow 3.3.2 marks a task failed when it is resumed while the scheduler still holds the exit of its first
    process (apache/airflow#67287); 8 s was enough in every try. The clocks of the worker, which says when it
    deferred, and of the triggerer may differ: what is no usual start is counted from here, since the task had
    deferred by then.

    :param deferred_at: when the task deferred, in seconds since the epoch.
    :param minimum_s: seconds that must pass from there to the event.
    """

    def __init__(self, *, deferred_at: float, minimum_s: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.deferred_at = deferred_at
        self.minimum_s = minimum_s
        # A triggerer makes the trigger just before it runs.
        late = time.time() - deferred_at
        self._may_yield = time.monotonic() + minimum_s - (late if 0 <= late <= PROMPT_S else 0.0)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that make this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "deferred_at": self.deferred_at,
            "minimum_s": self.minimum_s,
            **self.arguments(),
        }

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Return the subclass's own constructor arguments, JSON only."""

    async def event(self, payload: dict[str, Any]) -> TriggerEvent:
        """Wait until the event may be yielded, then return it."""
        await asyncio.sleep(max(0.0, self._may_yield - time.monotonic()))
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]


def deferral(minimum_s: float) -> dict[str, float]:
    """Return the arguments that say when the task defers: now."""
    return {"deferred_at": time.time(), "minimum_s": minimum_s}
