"""Series of points → one number."""

from __future__ import annotations

import math
from collections.abc import Sequence

from relman_plugins.clients.metrics.base import Answer
from relman_plugins.domain.source import Take

LEAST = 0.5
"""Share of the points that must be there for a number to stand for the whole time."""

TAIL = 0.25
"""Share of the points that may lack at the end: sources take their time, but what ended is not now."""


def taken(points: Sequence[float | None], take: Take) -> Answer:
    """Return the number that stands for a series, oldest point first; None and NaN are gaps.

    With fewer than half of the points, or none in the last quarter, there is no number: that would speak of
    another time. ``last`` is the newest point that there is.
    """
    known = [p for p in points if p is not None and not math.isnan(p)]
    if not known:
        return Answer(None, "the series has only gaps" if points else "the series has no points")
    if len(known) < LEAST * len(points):
        told = f"the series has {len(known)} of {len(points)} points: too few to speak for the whole time"
        return Answer(None, told)
    tail = next(n for n, p in enumerate(reversed(points)) if p is not None and not math.isnan(p))
    if tail > max(1, TAIL * len(points)):
        return Answer(None, f"the last {tail} of {len(points)} points are gaps: the series has ended")
    if take == "last":
        return Answer(known[-1])
    if take == "max":
        return Answer(max(known))
    if take == "min":
        return Answer(min(known))
    total = sum(known)
    if math.isnan(total):
        return Answer(None, "the series has infinities of both signs")
    return Answer(total / len(known) if take == "mean" else total)
