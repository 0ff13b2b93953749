"""Being told that something may have changed: watches as an alarm clock, never as a source of truth.

Whoever waits looks again at everything after each alarm. So a watch that is cut, ends, or whose version has
expired loses nothing: it is begun anew, and rings once. One that is refused is tried ever more seldom.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from threading import Event, Lock, Thread
from typing import Any, Self

from relman_plugins.errors import RelmanError
from relman_plugins.platforms.kubernetes.api import Kube, Moved

LASTS_S = 60.0
"""Seconds that a watch lasts before it is begun anew."""

LOOK_S = 10.0
"""Seconds after which is looked even without an alarm: a proxy may let no watch through."""

PAUSE_S = 0.1
"""Seconds between two looks at least, and before a broken watch is begun anew.

Each further time that it is refused takes twice as long, up to `LOOK_S`.
"""


class Alarms:
    """A context manager that watches some lists of objects, each in a thread of its own."""

    def __init__(self, kube: Kube, lists: Iterable[tuple[str, str]]) -> None:
        """Keep what is to be watched; nothing is asked.

        Args:
            kube: has the client and the deadline.
            lists: paths of lists of objects, each with a label selector.
        """
        # Of its own: when it is over, threads that are asking try no more.
        self._kube = Kube(kube.client, kube.left_s)
        self._rung, self._over = Event(), Event()
        self._open: set[Any] = set()
        self._lock = Lock()
        self._threads = [Thread(target=self._watch, args=one, daemon=True) for one in lists]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._kube.ends = 0.0
        with self._lock:
            for answer in self._open:
                _close(answer)

    def wait(self) -> None:
        """Return at the next alarm, after `LOOK_S` or at the deadline; not before `PAUSE_S`."""
        self._rung.wait(min(LOOK_S, self._kube.left_s))
        self._over.wait(min(PAUSE_S, self._kube.left_s))
        self._rung.clear()

    def _watch(self, path: str, selector: str) -> None:
        from urllib3.exceptions import HTTPError

        pause = PAUSE_S
        while not self._over.is_set() and self._kube.left_s:
            opened = Event()
            # A refused list is the business of the thread that waits: it asks the same.
            with contextlib.suppress(HTTPError, OSError, ValueError, AttributeError, RelmanError, Moved):
                _, version = self._kube.list(path, selector)
                self._follow(path, selector, version, opened)
            pause = PAUSE_S if opened.is_set() else min(LOOK_S, pause * 2)
            self._over.wait(pause)

    def _follow(self, path: str, selector: str, version: str, opened: Event) -> None:
        lasts = min(LASTS_S, self._kube.left_s)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": selector,
            "resourceVersion": version,
            "timeoutSeconds": str(int(lasts) + 1),
        }
        answer = self._kube.stream(path, query, lasts)
        with self._lock:
            self._open.add(answer)
        try:
            if self._over.is_set() or answer.status != 200:
                return
            opened.set()
            self._rung.set()
            for chunk in answer.stream():
                if self._over.is_set():
                    return
                if b'"BOOKMARK"' not in chunk[:30]:
                    self._rung.set()
        finally:
            with self._lock:
                self._open.discard(answer)
            _close(answer)


def _close(answer: Any) -> None:
    """Close the connection under a watch, also while another thread reads from it."""
    import socket

    connection = getattr(answer, "connection", None) or getattr(answer, "_connection", None)
    sock = getattr(connection, "sock", None)
    with contextlib.suppress(OSError, AttributeError):
        sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
    with contextlib.suppress(OSError, ValueError):
        answer.close()
