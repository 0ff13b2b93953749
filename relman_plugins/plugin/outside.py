"""Whether what is outside answers: asked once in a while, however often somebody wants to know."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from relman_plugins.errors import recordable
from relman_plugins.notifications.text import nobody

RELEASES = 20
"""How many releases, the newest first, say which systems are asked."""

PATIENCE_S = 5.0
"""How long all systems of one sort together have to answer."""

KEPT_S = {True: 60.0, False: 300.0}
"""How long a yes and a no are kept: nobody can make this server ask another one as often as they like, and a
wrong password that is sent often locks its account."""

Key = tuple[str, str]
"""A kind of system, and the connection that leads to it."""


class Health(NamedTuple):
    """What became of a question."""

    ok: bool
    message: str
    """``answers``, or what is wrong, in words that everybody may read."""


class Outside:
    """Systems of one sort, and what they said last."""

    def __init__(self, sort: str, ask: Callable[[str, str], object]) -> None:
        """``ask`` asks the system behind a connection something that changes nothing, or raises."""
        self._ask = ask
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix=f"relman-{sort}")
        self._known: dict[Key, tuple[float, Health]] = {}
        self._asking: dict[Key, Future[None]] = {}

    def of(self, wanted: Iterable[Key]) -> list[tuple[Key, Health]]:
        """Return the health of each, in order; it takes ``PATIENCE_S`` at most."""
        keys, now = sorted(set(wanted)), time.monotonic()
        for key in keys:
            # One that hangs is not asked a second time meanwhile.
            if not self._is_fresh(key, now) and (key not in self._asking or self._asking[key].done()):
                self._asking[key] = self._threads.submit(self._learn, key)
        wait([self._asking[key] for key in keys if not self._is_fresh(key, now)], timeout=PATIENCE_S)
        late = Health(False, f"no answer within {PATIENCE_S:g} s")
        return [(key, self._known[key][1] if self._is_fresh(key, now) else late) for key in keys]

    def _is_fresh(self, key: Key, now: float) -> bool:
        at, health = self._known.get(key, (-math.inf, Health(True, "")))
        return at >= now - KEPT_S[health.ok]

    def _learn(self, key: Key) -> None:
        from airflow.sdk.log import redact  # type: ignore[attr-defined]

        try:
            self._ask(*key)
        except Exception as error:
            health = Health(False, nobody(str(redact(recordable(error)))))
        else:
            health = Health(True, "answers")
        self._known[key] = (time.monotonic(), health)
