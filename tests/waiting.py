"""Waiting for what another process, or a thread, does.

It is asked again and again because the other side offers nothing to wait on: a record that appears, a port
that answers, a count that grows. Where a test can wait on the thing itself (a process's end, a line of
output, an event), it does that instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

T = TypeVar("T")


def eventually(
    question: Callable[[], T | None], what: str, within_s: float = 300.0, every_s: float = 0.05
) -> T:
    """Ask until the answer is true, and return it; ``within_s`` is patience with a busy machine, no claim."""
    asking = Retrying(
        retry=retry_if_result(lambda answer: not answer),
        stop=stop_after_delay(within_s),
        wait=wait_fixed(every_s),
    )
    try:
        return asking(question)
    except RetryError:
        raise AssertionError(f"{what}: not within {within_s:.0f} s") from None
