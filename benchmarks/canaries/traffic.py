"""Two versions under simulated traffic: bad requests and latency histograms, poll by poll."""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

POLLS = 60
BASE = 0.005
"""Share of requests that fail in a good version."""
MEDIAN_MS = 100.0
BOUNDS = np.geomspace(20, 8000, 25)
"""Upper bounds of the latency buckets, in milliseconds; one more bucket is above."""
Array = NDArray[np.float64]
_GRID = np.linspace(-8, 12, 20_001)
_ABOVE = np.array([NormalDist().cdf(-z) for z in _GRID])


class Cell(NamedTuple):
    """What is simulated: one row of the tables."""

    traffic: int
    """Requests per poll and version."""
    shape: Literal["log-normal", "heavy"]
    """Of latencies: log-normal with sigma 0.5, or log-logistic with exponent 2 (infinite variance)."""
    drift: bool
    """Whether errors (by 80 %) and latencies (by 25 %) swing with the time of day, in both versions alike."""
    errors: float = 1.0
    """How many times as many requests of the new version fail."""
    latency: float = 1.0
    """How many times as long the new version takes."""

    @property
    def null(self) -> Cell:
        """The same without a regression."""
        return self._replace(errors=1.0, latency=1.0)

    def above(self, at: Array, factor: Array | float) -> Array:
        """Return the share of requests that take longer than ``at`` milliseconds, all times ``factor``."""
        relative = at / MEDIAN_MS / factor
        if self.shape == "heavy":
            return 1 / (1 + relative**2)
        return np.interp(np.log(relative) / 0.5, _GRID, _ABOVE)

    def quantile(self, q: float) -> float:
        """Return a quantile of a good version's latency without drift, in milliseconds."""
        if self.shape == "heavy":
            return float(MEDIAN_MS * (q / (1 - q)) ** 0.5)
        return float(MEDIAN_MS * np.exp(0.5 * NormalDist().inv_cdf(q)))


class Arms(NamedTuple):
    """What came of it: runs by polls, and by buckets."""

    control_bad: NDArray[np.int64]
    experiment_bad: NDArray[np.int64]
    control: NDArray[np.int64]
    """Histograms: runs, polls, buckets."""
    experiment: NDArray[np.int64]
    harmed: NDArray[np.int64]
    """Requests of the new version that failed; where it is slower, took longer than 95 % of a good one's."""


def simulate(cell: Cell, runs: int, random: np.random.Generator) -> Arms:
    """Draw ``runs`` canaries of ``POLLS`` polls."""
    swing = np.sin(2 * np.pi * (np.arange(POLLS) / POLLS + random.random((runs, 1)))) * cell.drift
    rate, scale = BASE * (1 + 0.8 * swing), 1 + 0.25 * swing
    bad = [random.binomial(cell.traffic, np.minimum(rate * times, 1.0)) for times in (1.0, cell.errors)]
    histograms = []
    for factor in (1.0, cell.latency):
        tails = np.stack(
            [cell.above(np.full(scale.shape, bound), scale * factor) for bound in BOUNDS], axis=-1
        )
        histograms.append(_multinomial(cell.traffic, tails, random))
    slow = cell.above(np.full(scale.shape, cell.quantile(0.95)), 1.0)[0, 0]
    harmed = bad[1]
    if cell.latency != 1:
        limit = np.searchsorted(BOUNDS, cell.quantile(0.95) * scale)
        over = np.arange(BOUNDS.size + 1) > limit[..., None]
        harmed = (histograms[1] * over).sum(axis=-1)
    assert 0.04 < slow < 0.06
    return Arms(bad[0], bad[1], histograms[0], histograms[1], harmed)


def _multinomial(n: int, tails: Array, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw how many of ``n`` fall into each bucket, one bucket after the other."""
    counts = np.empty((*tails.shape[:-1], tails.shape[-1] + 1), np.int64)
    left = np.full(tails.shape[:-1], n)
    over = np.ones(tails.shape[:-1])
    for bucket in range(tails.shape[-1]):
        stay = np.clip(1 - np.divide(tails[..., bucket], over, out=np.zeros_like(over), where=over > 0), 0, 1)
        counts[..., bucket] = random.binomial(left, stay)
        left = left - counts[..., bucket]
        over = tails[..., bucket]
    counts[..., -1] = left
    return counts
