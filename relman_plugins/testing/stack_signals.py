"""Ctrl-C, SIGTERM and SIGHUP become one exception, so that ``finally`` is where things are stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_held: list[int] = []
_late: list[int] = []
"""Signals that came while they were held back: the mask is this thread's, and another one may get them."""


class Stopped(BaseException):
    """Somebody asked this process to stop. Not an Exception: nothing that retries may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """What a shell reports for a process that this signal ended."""


@contextmanager
def unstoppable() -> Iterator[None]:
    """Hold the signals back for a while: what must be done completely is done in here."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
    _held.append(0)
    try:
        yield
    finally:
        _held.pop()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if _late and not _held:
            number = _late[0]
            _late.clear()
            signal.raise_signal(number)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Stopped at the first signal; ignore the ones after it, so that stopping is not interrupted.

    Installs handlers even where the signals were ignored before, as they are for a shell's background
    jobs; puts back what was there. Main thread only.
    """
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    raised = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal raised
        if _held:
            _late.append(number)
        elif not raised:
            raised = True
            raise Stopped(number)

    for number in _NUMBERS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
