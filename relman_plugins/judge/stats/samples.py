"""Latencies and other values: the distribution of either arm, look by look.

In each look the values of both arms are put together. If the versions do not differ, which value came from
which arm is chance, whatever the distribution is and however it moves from look to look. So the slowest
half, quarter, tenth and fiftieth of each look are "bad" values, and ``evidence.split_gains`` bets on how
they split.

That there is *no* harm beyond a tolerance can't be had from values that the look itself picks. For that,
"slow" is what was slower than half, and than nine tenths, of the values of earlier looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relman_plugins.judge.stats.evidence import ODDS, TAILS, Array, Rates, mixed, rate_gains, split_gains

LEVELS = (0.5, 0.9)
"""Quantiles of earlier looks above which a value is slow."""
_KEPT = 2000
"""How many earlier values say where the quantiles are."""


class Look(NamedTuple):
    """One look: the places at which values lie, ascending, and how many of each arm lie there.

    Places are the values themselves, or upper bounds of the buckets of a histogram.
    """

    places: Array
    control: NDArray[np.int64]
    experiment: NDArray[np.int64]

    def turned(self) -> Look:
        """Return the look with the order turned round: what was smallest is largest."""
        return Look(-self.places[::-1], self.control[::-1], self.experiment[::-1])

    def above(self, place: float) -> tuple[int, int]:
        """Count the values above ``place``: of the control, of the experiment."""
        first = int(np.searchsorted(self.places, place, "right"))
        return int(self.control[first:].sum()), int(self.experiment[first:].sum())


def look_at(control: Array, experiment: Array) -> Look:
    """Return the look of plain values."""
    places = np.unique(np.concatenate((control, experiment)))

    def counted(values: Array) -> NDArray[np.int64]:
        return np.bincount(np.searchsorted(places, values), minlength=places.size)

    return Look(places, counted(control), counted(experiment))


def sample_harm(looks: Sequence[Look]) -> Array:
    """Return the evidence that the experiment's values are higher, after each look (logarithm)."""
    gains = np.zeros((len(looks), TAILS.size, ODDS.size))
    for i, look in enumerate(looks):
        n_c, n_e = int(look.control.sum()), int(look.experiment.sum())
        if n_c == 0 or n_e == 0:
            continue
        slower_e = np.cumsum(look.experiment[::-1])[::-1] - look.experiment
        slower = np.cumsum(look.control[::-1])[::-1] - look.control + slower_e
        cuts = np.flatnonzero((slower > 0) & (slower < n_c + n_e))
        for tail, share in enumerate(TAILS if cuts.size else ()):
            cut = cuts[np.argmin(np.abs(slower[cuts] - share * (n_c + n_e)))]
            gains[i, tail] = split_gains(int(slower_e[cut]), int(slower[cut]), n_c, n_e, ODDS)
    return mixed(gains.reshape(len(looks), -1))


def pair_harm(control: Array, experiment: Array) -> Array:
    """Return the same for looks of one value each, all at once; NaN is a look without an answer.

    Of two values one is the larger, or neither: a sign test.
    """
    higher = (experiment > control).astype(np.float64)
    differ = higher + (experiment < control)
    one = np.where(differ > 0, 1.0, 0.0)
    return mixed(rate_gains(Rates(differ - higher, one, higher, one), ODDS, 1.0))


def sample_rates(looks: Sequence[Look], level: float) -> Rates:
    """Return how many values of each look lie above the ``level`` quantile of the looks before."""
    rows = np.zeros((4, len(looks)))
    past = np.empty(0)
    for i, look in enumerate(looks):
        if past.size:
            n_c, n_e = int(look.control.sum()), int(look.experiment.sum())
            slow_c, slow_e = look.above(float(np.quantile(past, level, method="inverted_cdf")))
            rows[:, i] = slow_c, n_c, slow_e, n_e
        # Every so-many-th of all values together, without writing out each: there may be millions.
        ends = np.cumsum(look.control + look.experiment)
        total = int(ends[-1]) if ends.size else 0
        step = max(1, total // (_KEPT // 2))
        kept = look.places[np.searchsorted(ends, np.arange(step // 2, total, step), "right")]
        past = np.concatenate((past, kept))[-_KEPT:]
    return Rates(*rows)


def pair_rates(control: Array, experiment: Array, level: float) -> Rates:
    """Return the same for looks of one value each; the quantile is taken anew when the looks have doubled."""
    rows = np.zeros((4, control.size))
    begin = 4
    while begin < control.size:
        end = min(2 * begin, control.size)
        past = np.concatenate((control[:begin], experiment[:begin]))
        past = past[~np.isnan(past)]
        known = ~np.isnan(control[begin:end]) & ~np.isnan(experiment[begin:end])
        if past.size:
            place = np.quantile(past, level, method="inverted_cdf")
            rows[0, begin:end] = (control[begin:end] > place) & known
            rows[2, begin:end] = (experiment[begin:end] > place) & known
            rows[1, begin:end] = rows[3, begin:end] = known
        begin = end
    return Rates(*rows)
