"""Prometheus's functions over samples, with the results that Prometheus gives.

Sources: the page "Query functions" of its documentation, and `promql/functions.go` for the extrapolation of
`rate` and `increase` and for the corner cases of `histogram_quantile`.
"""

from __future__ import annotations

import math
from itertools import pairwise

from relman_plugins.platforms.sandbox.samples import Point


def increase(points: list[Point], start: float, end: float) -> float | None:
    """Return by how much a counter grew in a window, extrapolated to its ends; None for under two samples.

    A value lower than the one before it is a counter that began again at 0. What is missing at either end is
    filled in when the nearest sample is within 1.1 sample intervals of it, else by half an interval; before
    the first sample never further than to where the counter would have been 0.
    """
    if len(points) < 2:
        return None
    (first_t, first), (last_t, last) = points[0], points[-1]
    grown = last - first + sum(a for (_, a), (_, b) in pairwise(points) if b < a)
    sampled = last_t - first_t
    between = sampled / (len(points) - 1)
    before, after = first_t - start, end - last_t
    if grown > 0 and first >= 0:
        before = min(before, sampled * (first / grown))
    before, after = (gap if gap < between * 1.1 else between / 2 for gap in (before, after))
    return grown * (sampled + before + after) / sampled


def quantile(q: float, buckets: list[tuple[float, float]]) -> float:
    """Return the q-quantile of a histogram given as (upper bound, cumulative count).

    NaN without observations or without the bucket to infinity; the largest finite bound when the quantile
    lies above it.
    """
    if math.isnan(q):
        return math.nan
    if q < 0 or q > 1:
        return math.copysign(math.inf, q - 0.5)
    merged: dict[float, float] = {}
    for bound, value in buckets:
        merged[bound] = merged.get(bound, 0.0) + value
    ordered = sorted(merged.items())
    if len(ordered) < 2 or not math.isinf(ordered[-1][0]):
        return math.nan
    counts: list[float] = []
    for _, value in ordered:
        # Buckets are read one after the other; a request in between must not make a count fall.
        counts.append(max(value, counts[-1]) if counts else value)
    if counts[-1] == 0 or math.isnan(counts[-1]):
        return math.nan
    rank = q * counts[-1]
    i = next((i for i, count in enumerate(counts[:-1]) if count >= rank), len(counts) - 1)
    if i == len(counts) - 1:
        return ordered[-2][0]
    upper = ordered[i][0]
    if i == 0 and upper <= 0:
        return upper
    lower, below = (ordered[i - 1][0], counts[i - 1]) if i else (0.0, 0.0)
    inside = counts[i] - below
    return lower + (upper - lower) * ((rank - below) / inside if inside else 0.0)
