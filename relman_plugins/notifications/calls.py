"""Calls of other people's code that may never return: each has a time limit, and is never made twice at once.

A thread can't be ended. So a call that takes too long is left behind, and whoever asks for the same one again
gets that one's result, once there is one: a notifier that is only slow does not tell the same over and over.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar
from weakref import WeakKeyDictionary

from relman_plugins.errors import ClientUnavailable, RelmanError
from relman_plugins.ledger.api import Ledger, Line

LIMIT_S = 60.0
"""How long a call may take before others of its line go on, in seconds."""

MOST_LEFT = 8
"""Calls of one line that may hang at a time; further ones wait until one of them returns."""

T = TypeVar("T")

_left: WeakKeyDictionary[Ledger, dict[Line, dict[int, Future[str]]]] = WeakKeyDictionary()
"""Calls that took too long, by the messages they deliver; one line is worked on by one thread at a time."""


class TooSlow(ClientUnavailable):
    """There is no result yet."""

    def __init__(self, message: str, *, waited: bool = False) -> None:
        super().__init__(message)
        self.waited = waited
        """Whether finding that out took the whole limit."""


def within(
    ledger: Ledger, line: Line, message_id: int, call: Callable[[], str], limit_s: float = LIMIT_S
) -> str:
    """Return what ``call`` returns, or what an earlier one for the same message does; raise what it raises.

    Raises:
        TooSlow: It has not returned yet.
    """
    left = _left.setdefault(ledger, {}).setdefault(line, {})
    earlier = left.pop(message_id, None)
    if earlier is None and sum(not future.done() for future in left.values()) >= MOST_LEFT:
        raise TooSlow(f"{MOST_LEFT} earlier calls of {line.channel} have not returned; see why it hangs")
    future = earlier or in_thread(call)
    # An earlier one had its time.
    if not _is_done(future, 0 if earlier else limit_s):
        left[message_id] = future
        told = f"{line.channel} has not returned within {limit_s:g} s; nothing else waits for it"
        raise TooSlow(told, waited=earlier is None)
    error = future.exception()
    if error is not None and not isinstance(error, RelmanError):
        # Anybody's code may even ask to leave the program.
        raise ClientUnavailable(f"{line.channel}: {type(error).__name__}") from error
    return future.result()


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Run in a thread that nobody waits for when the process ends."""
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # handed to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, name="relman-deliver", daemon=True).start()
    return future


def _is_done(future: Future[str], limit_s: float) -> bool:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    return done.wait(limit_s)
