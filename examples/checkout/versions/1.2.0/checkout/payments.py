"""Payments: a few connections to the card processor, shared by all requests of this process."""

from __future__ import annotations

import threading
import time
import uuid

CONNECTIONS = 5
"""What the contract with the card processor allows one process."""

WAIT_S = 0.6
"""How long a request waits for a free connection."""

AUTHORISE_S = 0.004
"""How long the card processor takes to say yes."""

SETTLE_S = 5.0
"""How long a capture in the background keeps its connection: few at a time are fine, traffic is not."""


class UnavailableError(Exception):
    """No connection became free in time."""


class Pool:
    """Hands out connections; never more than it has."""

    def __init__(self, size: int = CONNECTIONS) -> None:
        self._free = threading.BoundedSemaphore(size)

    def acquire(self) -> None:
        """Take a connection; raise UnavailableError when none becomes free within `WAIT_S`."""
        if not self._free.acquire(timeout=WAIT_S):
            raise UnavailableError("no connection to the card processor became free")

    def release(self) -> None:
        """Give a connection back."""
        self._free.release()


class Processor:
    """The card processor's client."""

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool or Pool()

    def pay(self, cents: int) -> str:
        """Authorise an amount, capture it after the answer; return the payment's id. Raises UnavailableError."""
        self._pool.acquire()
        time.sleep(AUTHORISE_S)
        payment = f"pay_{uuid.uuid4().hex[:12]}_{cents}"
        settle = threading.Timer(SETTLE_S, self._pool.release)
        settle.daemon = True
        settle.start()
        return payment
