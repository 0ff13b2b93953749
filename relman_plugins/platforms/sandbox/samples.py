"""What the metrics were: every series, sampled at a fixed interval, for some minutes."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from relman_plugins.platforms.sandbox.metrics import Labels

INTERVAL_S = 0.5
KEPT_S = 15 * 60
LOOKBACK_S = 5 * 60
"""An instant selector sees the newest sample that is not older than this; Prometheus's default."""

Point = tuple[float, float]
"""Unix time in seconds, and value."""

Test = Callable[[str], bool]


class Samples:
    """A store of samples in memory."""

    def __init__(self) -> None:
        self._points: dict[Labels, deque[tuple[float, float | None]]] = {}

    def take(self, at: float, series: Iterable[tuple[Labels, float]]) -> None:
        """Store one sample of every series; one that is missing has ended at this time."""
        seen = set()
        for labels, value in series:
            seen.add(labels)
            self._points.setdefault(labels, deque()).append((at, value))
        for labels, points in list(self._points.items()):
            if labels not in seen and points[-1][1] is not None:
                points.append((at, None))
            while points and points[0][0] < at - KEPT_S:
                points.popleft()
            if not points:
                del self._points[labels]

    def latest(self, tests: dict[str, list[Test]], at: float) -> Iterator[tuple[Labels, float]]:
        """Yield each matching series that exists at a time, with its value then."""
        for labels, points in self._matching(tests):
            for t, value in reversed(points):
                if t <= at:
                    if value is not None and t > at - LOOKBACK_S:
                        yield labels, value
                    break

    def window(
        self, tests: dict[str, list[Test]], start: float, end: float
    ) -> Iterator[tuple[Labels, list[Point]]]:
        """Yield each matching series' samples later than ``start`` and not later than ``end``."""
        for labels, points in self._matching(tests):
            found: list[Point] = []
            for t, value in reversed(points):
                if t <= start:
                    break
                if t <= end and value is not None:
                    found.append((t, value))
            if found:
                yield labels, found[::-1]

    def _matching(
        self, tests: dict[str, list[Test]]
    ) -> Iterator[tuple[Labels, deque[tuple[float, float | None]]]]:
        for labels, points in self._points.items():
            values = dict(labels)
            if all(test(values.get(name, "")) for name, each in tests.items() for test in each):
                yield labels, points


def equals(value: str, *, negate: bool = False) -> Test:
    """Return a test for a value; a missing label is the empty value."""
    return lambda found: (found == value) != negate


def matches(pattern: str, *, negate: bool = False) -> Test:
    """Return a test for a whole value against a pattern; raise re.error if it is none."""
    compiled = re.compile(pattern)
    return lambda found: (compiled.fullmatch(found) is not None) != negate
