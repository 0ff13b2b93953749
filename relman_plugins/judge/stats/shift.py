"""The Mann-Whitney test turned round: by how much one sample lies above another, with an interval.

Sources: Hodges & Lehmann, "Estimates of location based on rank tests" (1963), for the estimate; Hollander,
Wolfe & Chicken, "Nonparametric Statistical Methods", 3rd ed., section 4.3, for the interval; its large-sample
form with continuity correction and correction for ties is what R's ``wilcox.test(exact=FALSE)`` and Kayenta
solve for with a root finder. Here the ends are order statistics of the differences, found exactly, so that
metrics of any scale are judged alike (a root finder with a fixed tolerance is blind to values below it).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Columns = NDArray[np.intp]

_FEW = 4096
"""Differences that are sorted rather than narrowed further."""
_ROWS = 128
_PLACES = (np.arange(4) + 0.5) / 4
_MARGIN = 0.03
"""Sample of the differences that says where to cut, and how far beside the guess the two cuts are."""


class Shift(NamedTuple):
    """How far ``experiment`` lies above ``control``, in the metric's unit."""

    estimate: float
    """The median of all differences between a value of one and a value of the other (Hodges-Lehmann)."""
    low: float | None
    high: float | None
    """Ends of the interval; None when so few points cannot exclude anything at this confidence."""


def shift(control: Array, experiment: Array, confidence: float) -> Shift:
    """Return the shift of ``experiment`` over ``control``; neither may be empty or hold NaN.

    Args:
        control: Values of the old version, in any order.
        experiment: Values of the new version.
        confidence: Of the two-sided interval, such as 0.98.
    """
    pairs = experiment.size * control.size
    rank = _rank(control, experiment, confidence)
    middle = [(pairs + 1) // 2, pairs // 2 + 1]
    if rank < 1:
        first, second = _select(control, experiment, middle)
        return Shift(first / 2 + second / 2, None, None)
    low, first, second, high = _select(control, experiment, [rank, *middle, pairs + 1 - rank])
    return Shift(first / 2 + second / 2, low, high)


def certainly(control: Array, experiment: Array, confidence: float) -> int:
    """Return 1 if ``experiment`` is certainly higher, -1 if it is lower, 0 if neither is certain.

    Where most values are equal (zeros of a rare error) the shift is 0 whatever the others do, and so are both
    ends of its interval; this is the plain two-sided U test, corrected for ties and continuity.
    """
    m, n = experiment.size, control.size
    tied = _ties(np.concatenate((control, experiment)))
    variance = m * n / 12 * ((m + n + 1) - tied / ((m + n) * (m + n - 1)))
    distance = (superiority(control, experiment) - 0.5) * m * n
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2)
    if variance <= 0 or abs(distance) - 0.5 <= quantile * float(np.sqrt(variance)):
        return 0
    return 1 if distance > 0 else -1


def superiority(control: Array, experiment: Array) -> float:
    """Return the share of pairs in which ``experiment`` is higher, ties counted half.

    The common language effect size (CLES), as Vargha & Delaney (2000) compute it.
    """
    ordered = np.sort(control)
    below = np.searchsorted(ordered, experiment, "left").sum()
    not_above = np.searchsorted(ordered, experiment, "right").sum()
    return float((below + not_above) / 2 / (control.size * experiment.size))


def _rank(control: Array, experiment: Array, confidence: float) -> int:
    """Return which difference, counted from the smallest, is the lower end; below 1 when there is none.

    The statistic falls by one at every difference. The lower end is the last difference on whose left
    (statistic - half of the pairs - 1/2) / sigma still exceeds the normal quantile.
    """
    m, n = experiment.size, control.size
    tied = _ties(control) + _ties(experiment)  # between the arms there are ties only at the differences
    variance = m * n / 12 * ((m + n + 1) - tied / ((m + n) * (m + n - 1)))
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2)
    edge = m * n / 2 + 0.5 - quantile * float(np.sqrt(max(variance, 0.0)))
    return int(np.ceil(edge)) - 1 if variance > 0 else 0


def _ties(values: Array) -> float:
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float((counts**3 - counts).sum())


def _select(control: Array, experiment: Array, ranks: list[int]) -> list[float]:
    """Return the differences of these ranks (from 1, ascending).

    Of a thousand values each there are a million differences, so they are not made. Equal values are taken
    together, and for each value of ``experiment`` the columns of ``control`` that may still hold the rank are
    narrowed by counting, until few are left.
    """
    x, x_weight = np.unique(experiment, return_counts=True)
    y, y_weight = np.unique(control, return_counts=True)
    pairs = _Pairs(x, y, x_weight, np.concatenate(([0], np.cumsum(y_weight))))
    found: list[float] = []
    after: tuple[int, float | None] = (0, None)
    for rank in ranks:
        value = after[1] if rank == after[0] else None
        if value is None:
            value, following = _find(pairs, rank)
            after = rank + 1, following
        found.append(value)
    return found


class _Pairs(NamedTuple):
    """Different values of either arm, ascending, and how often each occurs."""

    x: Array
    y: Array
    x_weight: Columns
    y_before: Columns

    def from_on(self, begin: Columns) -> int:
        """Count the differences in the columns from ``begin`` on: in each row those are the smallest."""
        return int(((self.y_before[-1] - self.y_before[begin]) * self.x_weight).sum())


def _find(pairs: _Pairs, rank: int) -> tuple[float, float | None]:
    """Return the difference of this rank, and the next one where it is known."""
    begin, end = np.zeros(pairs.x.size, np.intp), np.full(pairs.x.size, pairs.y.size)
    below, up_to = 0, pairs.from_on(begin)
    while (left := int((end - begin).sum())) > _FEW:
        low, high = _guess(pairs, begin, end, (rank - below) / (up_to - below))
        # A bound belongs to what lies below it; the second time it does not, which gets rid of ties.
        for bound, side in _cuts(low, high):
            if side == "right" and int((end - begin).sum()) < 0.7 * left:
                break
            cut = np.clip(np.searchsorted(pairs.y, pairs.x - bound, side), begin, end)
            count = pairs.from_on(cut)
            if count >= rank:
                begin, up_to = cut, count
            else:
                end, below = cut, count
        if int((end - begin).sum()) == left:  # one value only
            return low, low if up_to > rank else None
    rows = np.repeat(np.arange(pairs.x.size), end - begin)
    columns = _counted(begin, end - begin)
    values = pairs.x[rows] - pairs.y[columns]
    weights = pairs.x_weight[rows] * np.diff(pairs.y_before)[columns]
    order = np.argsort(values)
    reached = below + np.cumsum(weights[order])
    here, following = np.searchsorted(reached, [rank, rank + 1], "left")
    return float(values[order[here]]), float(values[order[following]]) if up_to > rank else None


def _cuts(low: float, high: float) -> tuple[tuple[float, Literal["left", "right"]], ...]:
    return (low, "left"), (high, "left"), (low, "right"), (high, "right")


def _guess(pairs: _Pairs, begin: Columns, end: Columns, share: float) -> tuple[float, float]:
    """Return two differences between which that share of the remaining ones probably ends, from a sample."""
    rows = np.flatnonzero(end > begin)
    rows = rows[:: max(1, rows.size // _ROWS)]
    widths = end[rows] - begin[rows]
    columns = begin[rows] + (widths * _PLACES[:, None]).astype(np.intp)
    values = (pairs.x[rows] - pairs.y[columns]).ravel()
    order = np.argsort(values)
    reached = np.cumsum(np.tile(widths * pairs.x_weight[rows], _PLACES.size)[order])
    places = np.searchsorted(reached, np.clip([share - _MARGIN, share + _MARGIN], 0, 1) * reached[-1])
    low, high = values[order[np.minimum(places, values.size - 1)]]
    return float(low), float(high)


def _counted(begin: Columns, widths: Columns) -> Columns:
    """Return for each row ``begin``, ``begin + 1``, … as many as it is wide."""
    return np.arange(int(widths.sum())) - np.repeat(np.cumsum(widths) - widths - begin, widths)
