"""The judges that are compared, each over many canaries at once: in which poll each aborts, or never.

The sequential one is relman's own bets (``judge.stats``) with the cheaper of its two for errors, which is
the weaker one; the sums over all splits are interpolated, to the disadvantage of the judge, since they are
convex. A test compares it with ``relman judge``. The Mann-Whitney one is its definition, on one point for
each poll.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.canaries.traffic import BOUNDS, POLLS, Arms, Array, Cell
from relman_plugins.judge.stats.evidence import (
    ODDS,
    RATIOS,
    TAILS,
    Rates,
    above,
    calm,
    mixed,
    rate_gains,
    split_gains,
)

ALPHA = 0.02
NEEDED = -float(np.log(ALPHA))
LIMIT = 0.01
"""Share of failed requests above which Flagger's documented example fails a check; ours knows it too."""
FLAGGER_THRESHOLD, ARGO_LIMIT, ARGO_ERRORS = 5, 3, 0.05
"""Of the documented examples: Flagger aborts at five failed checks, Argo after more than three below 95 %."""
SLOWER = 1.5
"""The latency limit of both: so many times the 99th percentile of a good version."""
NEVER = POLLS


class Ended(NamedTuple):
    """When each canary was aborted, and when it was decided either way; NEVER is not."""

    aborted: NDArray[np.int64]
    decided: NDArray[np.int64]


def first(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the first poll at which it is true, from 0; NEVER if at none."""
    return np.where(there.any(axis=-1), there.argmax(axis=-1), NEVER)


def sequential(cell: Cell, arms: Arms) -> Ended:
    """Judge after every poll: failed requests and latency, at one level."""
    total = np.full(arms.control_bad.shape, float(cell.traffic))
    rates = Rates(arms.control_bad.astype(float), total, arms.experiment_bad.astype(float), total)
    relative = mixed(rate_gains(rates, RATIOS, 1.0))
    errors = np.logaddexp(relative, above(rates.experiment_bad, total, LIMIT)) - np.log(2)
    aborted = first(np.logaddexp(errors, slower(cell, arms)) - np.log(2) >= NEEDED)
    quiet = np.minimum.reduce(
        [calm(rates, 1.0, 0.25), *(calm(_by_earlier(cell, arms, q), 1.0, 0.25) for q in (0.5, 0.9))]
    )
    passed = first(np.maximum.accumulate(quiet >= NEEDED, axis=-1))
    aborted = np.where(passed < aborted, NEVER, aborted)  # promoted by mistake: it is never aborted
    return Ended(aborted, np.minimum(np.minimum(aborted, passed), POLLS - 1))


def slower(cell: Cell, arms: Arms) -> Array:
    """Return the evidence that the new version is slower, after each poll."""
    slow_e, slow = _over(arms.experiment), _over(arms.control) + _over(arms.experiment)
    valid = (slow > 0) & (slow < 2 * cell.traffic)
    gains = np.zeros((*slow.shape[:-1], TAILS.size, ODDS.size))
    table = _table(cell.traffic)
    for tail, share in enumerate(TAILS):
        distance = np.where(valid, np.abs(slow - share * 2 * cell.traffic), np.inf)
        cut = distance.argmin(axis=-1)[..., None]
        b_e = np.take_along_axis(slow_e, cut, -1)
        both = np.take_along_axis(slow, cut, -1)[..., 0]
        usable = np.take_along_axis(valid, cut, -1)
        gains[..., tail, :] = np.where(usable, b_e * np.log(ODDS) - table[both], 0.0)
    return mixed(gains.reshape(*gains.shape[:-2], -1))


def _over(histogram: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many lie above each bucket's bound."""
    return np.cumsum(histogram[..., ::-1], axis=-1)[..., ::-1] - histogram


@lru_cache(maxsize=8)
def _table(traffic: int) -> Array:
    """Return for every number of slow ones what each bet costs; above 200, between points."""
    points = np.unique(
        np.concatenate(([0], np.linspace(0, 2 * traffic, min(2 * traffic + 1, 601)).astype(int)))
    )
    exact = np.array([-split_gains(0, int(both), traffic, traffic, ODDS) for both in points])
    return np.stack(
        [np.interp(np.arange(2 * traffic + 1), points, exact[:, i]) for i in range(ODDS.size)], axis=-1
    )


def _by_earlier(cell: Cell, arms: Arms, level: float) -> Rates:
    """Return how many are slower than a quantile of the poll before."""
    pooled = np.cumsum(arms.control + arms.experiment, axis=-1)[:, :-1]
    place = (pooled >= level * 2 * cell.traffic).argmax(axis=-1)[..., None]
    rows = []
    for arm in (arms.control, arms.experiment):
        slow = np.take_along_axis(_over(arm)[:, 1:], place, -1)[..., 0]
        rows += [np.pad(slow, ((0, 0), (1, 0))).astype(float)]
    total = np.full(rows[0].shape, float(cell.traffic))
    total[:, 0] = 0
    return Rates(rows[0], total, rows[1], total)


def mann_whitney(cell: Cell, arms: Arms) -> Ended:
    """Judge once, after the last poll: share of failed requests and 99th percentile, one point a poll."""
    pairs = (
        (arms.control_bad / cell.traffic, arms.experiment_bad / cell.traffic),
        (p99(arms.control), p99(arms.experiment)),
    )
    high = np.logical_or(*(_high(control, experiment) for control, experiment in pairs))
    end = np.full(high.shape, POLLS - 1)
    return Ended(np.where(high, POLLS - 1, NEVER), end)


def _high(control: Array, experiment: Array) -> NDArray[np.bool_]:
    quantile = NormalDist().inv_cdf(1 - ALPHA / 2)
    n = control.shape[1]
    tied = _ties(control) + _ties(experiment)
    sigma = np.sqrt(np.maximum(n * n / 12 * ((2 * n + 1) - tied / (2 * n * (2 * n - 1))), 0))
    rank = np.ceil(n * n / 2 + 0.5 - quantile * sigma).astype(int) - 1
    differences = np.sort((experiment[:, :, None] - control[:, None, :]).reshape(len(control), -1), axis=1)
    low = np.take_along_axis(differences, np.maximum(rank - 1, 0)[:, None], 1)[:, 0]
    middle = (differences[:, (n * n - 1) // 2] + differences[:, n * n // 2]) / 2
    whole = np.concatenate((control, experiment), axis=1)
    spread = np.sqrt(np.maximum(n * n / 12 * ((2 * n + 1) - _ties(whole) / (2 * n * (2 * n - 1))), 1e-12))
    distance = (differences > 0).sum(axis=1) + (differences == 0).sum(axis=1) / 2 - n * n / 2
    rare = (middle == 0) & (low == 0) & (distance - 0.5 > quantile * spread)
    return (rank >= 1) & ((low > 0.25 * np.abs(middle)) | rare)


def _ties(values: Array) -> Array:
    same = (values[:, :, None] == values[:, None, :]).sum(axis=2)
    return (same.astype(float) ** 2 - 1).sum(axis=1)


def p99(histogram: NDArray[np.int64]) -> Array:
    """Return the 99th percentile as Prometheus does: by a line within the bucket."""
    reached = np.cumsum(histogram, axis=-1)
    wanted = 0.99 * reached[..., -1:]
    bucket = (reached >= wanted).argmax(axis=-1)
    edges = np.concatenate(([0.0], BOUNDS, BOUNDS[-1:]))
    here = np.take_along_axis(histogram, bucket[..., None], -1)[..., 0]
    before = np.take_along_axis(reached, bucket[..., None], -1)[..., 0] - here
    share = (wanted[..., 0] - before) / np.maximum(here, 1)
    return edges[bucket] + (edges[bucket + 1] - edges[bucket]) * share


def flagger(cell: Cell, arms: Arms) -> Ended:
    """Abort at the fifth failed check."""
    return _counted(_failed(cell, arms, LIMIT), FLAGGER_THRESHOLD)


def argo(cell: Cell, arms: Arms) -> Ended:
    """Abort when more than three measurements failed, of either metric by itself."""
    limit = SLOWER * cell.quantile(0.99)
    metrics = (arms.experiment_bad > ARGO_ERRORS * cell.traffic, p99(arms.experiment) > limit)
    ends = [_counted(failed, ARGO_LIMIT + 1).aborted for failed in metrics]
    aborted = np.minimum(*ends)
    return Ended(aborted, np.minimum(aborted, POLLS - 1))


def _failed(cell: Cell, arms: Arms, errors: float) -> NDArray[np.bool_]:
    limit = SLOWER * cell.quantile(0.99)
    return (arms.experiment_bad > errors * cell.traffic) | (p99(arms.experiment) > limit)


def _counted(failed: NDArray[np.bool_], needed: int) -> Ended:
    aborted = first(np.cumsum(failed, axis=-1) >= needed)
    return Ended(aborted, np.minimum(aborted, POLLS - 1))


METHODS = {"sequential": sequential, "mann_whitney": mann_whitney, "flagger": flagger, "argo": argo}
