"""Evidence that may be looked at after every look: products of fair bets, called e-processes.

Someone bets that the new version is worse. If it is not, the expected stake never grows, whatever the time at
which one looks; so the chance that it *ever* reaches 1/alpha is at most alpha (Ville's inequality). Sources:
Ramdas, Grünwald, Vovk & Shafer, "Game-theoretic statistics and safe anytime-valid inference" (2023); Lindon,
Sanden & Shirikian (KDD 2022, arXiv 2205.14762) for releases; Waudby-Smith & Ramdas (JRSS-B 2024) for betting.

A look has ``n_c`` and ``n_e`` requests, of which ``b_c`` and ``b_e`` are bad; ``B = b_c + b_e`` and ``s =
n_e / (n_c + n_e)``. Both bets know ``B`` and guess how it splits, so the rate itself cancels out, and drift
that both arms share is no evidence:

* ``rate_gains``: the likelihood ratio of a binomial split. For the ratio of the rates ``r`` against ``r0``:
  ``b_e log(r / r0) - B log((1 - s + s r) / (1 - s + s r0))``. Exact for Poisson counts. For requests too:
  with rates ``p`` and ``r0 p`` its expectation is at most ``exp(p (n_e r0 (x - 1) + n_c (y - 1)))``, where
  ``x`` and ``y`` are its factors for a bad request of either arm, and that exponent is 0. Further inside
  "not worse" it is smaller.
* ``split_gains``: against "no difference" the split is hypergeometric whatever the numbers are, so the bet
  ``r^b_e / E[r^b_e]`` is exactly fair. It gains more where much is bad, and it serves for latencies: "bad"
  may then be anything that the pooled values alone decide, such as the slowest tenth of this look.

Nobody knows how much worse the new version is, so the stake is divided among several ``r`` (a mixture).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATIOS = np.array([1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 10, 20, 50, 200])
"""How many times as many bad requests the bets are on."""
ODDS = np.array([1.25, 1.5, 2, 3, 5, 10, 30, 100, 1000])
"""By how much the odds of a slow request are raised, for latencies."""
TAILS = np.array([0.5, 0.25, 0.1, 0.02])
"""Which share of a look counts as slow: half, a quarter, a tenth, a fiftieth."""
CALM = np.array([1.1, 1.0, 0.85, 0.6, 0.3])
CALM_WEIGHTS = np.log([0.15, 0.45, 0.2, 0.1, 0.1])
"""The bets against "harm beyond tolerance": on these ratios, and with which part of the stake."""
_LARGEST = 200_000
"""Above so many requests in a look the binomial split is used: it needs no sum over all splits."""
EXACTLY = 5000
"""So many looks have the better bet; after that, either is."""
_TRIED = np.exp(np.linspace(-np.log(1000), np.log(1000), 601))
_RATIOS = np.concatenate((1 / RATIOS[::-1], [1.0], RATIOS, _TRIED))
"""The ratios that an interval's mixture bets on, and then those that it may end at."""
_OFTEN = 0.05
"""Share of bad requests below which the binomial split is as good."""


class Rates(NamedTuple):
    """Bad requests and all requests of both arms, one entry for each look; zeros where nothing is known."""

    control_bad: Array
    control: Array
    experiment_bad: Array
    experiment: Array

    def swapped(self) -> Rates:
        """Return the same with control and experiment exchanged."""
        return Rates(self.experiment_bad, self.experiment, self.control_bad, self.control)

    @property
    def bad(self) -> Array:
        """Bad requests of both arms."""
        return self.control_bad + self.experiment_bad

    @property
    def share(self) -> Array:
        """Share of the experiment in the requests of each look; a half where there are none."""
        total = self.control + self.experiment
        share: Array = np.divide(self.experiment, total, out=np.full(total.shape, 0.5), where=total > 0)
        return share


def rate_gains(rates: Rates, ratios: Array, null: float) -> Array:
    """Return what the bets on ``ratios`` against ``null`` gain in each look.

    Logarithms, one column for each ratio.
    """
    share = rates.share[..., None]
    expected = np.log((1 - share + share * ratios) / (1 - share + share * null))
    return rates.experiment_bad[..., None] * np.log(ratios / null) - rates.bad[..., None] * expected


def split_gains(bad: int, both: int, control: int, experiment: int, ratios: Array) -> Array:
    """Return what the bets on ``ratios`` against "no difference" gain in one look (logarithms).

    Args:
        bad: Bad ones among the experiment's.
        both: Bad ones in both arms.
        control: All of the control's.
        experiment: All of the experiment's.
        ratios: Odds ratios that are bet on.

    Above ``_LARGEST`` the binomial split stands for the hypergeometric one, which is narrower: the stake is
    then no more than fair.
    """
    if control + experiment > _LARGEST:
        parts = (both - bad, control, bad, experiment)
        whole = Rates(*(np.array([float(part)]) for part in parts))
        gained: Array = rate_gains(whole, ratios, 1.0)[0]
        return gained
    return bad * np.log(ratios) - _expected(both, control, experiment, tuple(ratios.tolist()))


@lru_cache(maxsize=4096)
def _expected(both: int, control: int, experiment: int, ratios: tuple[float, ...]) -> Array:
    """Return log E[r^b] for a hypergeometric b."""
    total = control + experiment
    logs = _log_factorials(1 << max(10, int(total).bit_length()))
    b = np.arange(max(0, both - control), min(both, experiment) + 1)
    ways = (
        logs[experiment] - logs[b] - logs[experiment - b] + logs[control] - logs[both - b]
        - logs[control - both + b] - (logs[total] - logs[both] - logs[total - both])
    )  # fmt: skip
    return log_sum(ways + b * np.log(ratios)[:, None])


@lru_cache(maxsize=8)
def _log_factorials(size: int) -> Array:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, size + 1)))))


def log_sum(logs: Array) -> Array:
    """Return the logarithm of the sum over the last axis."""
    top = logs.max(axis=-1, keepdims=True)
    found: Array = np.log(np.exp(logs - top).sum(axis=-1)) + top[..., 0]
    return found


def mixed(gains: Array, weights: Array | None = None) -> Array:
    """Return the stake after each look (logarithm), divided among the columns; looks are the axis before."""
    stakes = np.cumsum(gains, axis=-2)
    shared = stakes - np.log(gains.shape[-1]) if weights is None else stakes + weights
    return log_sum(shared)


def harm(rates: Rates, allowed: float = 1.0, *, requests: bool = True) -> Array:
    """Return the evidence that the experiment's rate is above ``allowed`` times the control's.

    One logarithm for each look. ``requests``: each counted thing is one of the total, at most once bad.
    """
    return mixed(harm_gains(rates, allowed, EXACTLY if allowed == 1 and requests else 0)[0])


def harm_gains(rates: Rates, allowed: float, exactly: int) -> tuple[Array, int]:
    """Return what the bets on harm gain in each look, and in how many of them the better bet was made.

    Args:
        rates: The looks.
        allowed: How many times the control's rate is no harm.
        exactly: So many looks may have the better bet, which is against "no difference" alone.
    """
    gains = rate_gains(rates, RATIOS * allowed, allowed)
    better = np.flatnonzero(_often(rates))[:exactly] if exactly else ()
    for i in better:
        control, experiment = int(rates.control[i]), int(rates.experiment[i])
        gains[i] = split_gains(int(rates.experiment_bad[i]), int(rates.bad[i]), control, experiment, RATIOS)
    return gains, len(better)


def _often(rates: Rates) -> NDArray[np.bool_]:
    """Return in which looks so much is bad that the better bet gains more."""
    total = rates.control + rates.experiment
    often = (rates.bad > _OFTEN * total) & (total <= _LARGEST) & (rates.control > 0) & (rates.experiment > 0)
    whole = np.all([np.floor(part) == part for part in rates], axis=0)
    found: NDArray[np.bool_] = often & whole
    return found


def above(bad: Array, total: Array, limit: float) -> Array:
    """Return the evidence of a bad share above ``limit``, whatever the other arm does, after each look."""
    return mixed(above_gains(bad, total, limit))


def above_gains(bad: Array, total: Array, limit: float) -> Array:
    """Return what the bets on a bad share above ``limit`` gain in each look.

    The likelihood ratio of ``r * limit`` against ``limit``, or rather a form of it that only bad requests
    raise: ``b log r - n log(1 + limit (r - 1))``. Its expectation is at most 1 for every share up to the
    limit.
    """
    gains: Array = bad[..., None] * np.log(RATIOS) - total[..., None] * np.log1p(limit * (RATIOS - 1))
    return gains


def calm(rates: Rates, allowed: float, tolerance: float) -> Array:
    """Return the evidence that the rate is below ``allowed`` times ``1 + tolerance`` that of the control."""
    return mixed(calm_gains(rates, allowed, tolerance), CALM_WEIGHTS)


def calm_gains(rates: Rates, allowed: float, tolerance: float) -> Array:
    """Return what the bets against harm beyond the tolerance gain in each look."""
    bound = allowed * (1 + tolerance)
    return rate_gains(rates, np.minimum(CALM * allowed, 0.95 * bound), bound)


def ratio(rates: Rates) -> float:
    """Return the ratio of the rates, compared within looks (Mantel & Haenszel 1959)."""
    return ratio_of(*compared(rates).sum(axis=0))


def compared(rates: Rates) -> Array:
    """Return the two terms that each look adds to the ratio of the rates."""
    share = rates.share
    return np.stack((rates.experiment_bad * (1 - share), rates.control_bad * share), axis=-1)


def ratio_of(above: float, below: float) -> float:
    """Return the ratio of the rates by the sums of its terms."""
    return float(above / below) if below > 0 else (1.0 if above == 0 else float("inf"))


def interval(rates: Rates, alpha: float) -> tuple[float | None, float | None]:
    """Return between which ratios the true one lies, but for a chance of ``alpha`` over all looks.

    A confidence sequence by the method of mixtures (Robbins 1970): the ratios against which the mixture of
    all bets has not reached 1/alpha. None is an end beyond a thousandth or a thousand.
    """
    alike, which = np.unique(rates.share, return_inverse=True)  # looks with the same share are one
    whole = Rates(*(np.bincount(which, part, alike.size).astype(np.float64) for part in rates))
    return between(likelihoods(whole).sum(axis=0), alpha)


def likelihoods(rates: Rates) -> Array:
    """Return what each look adds to the likelihood of the ratios that ``interval`` bets on, and tries."""
    return rate_gains(rates, _RATIOS, 1.0)


def between(likelihood: Array, alpha: float) -> tuple[float | None, float | None]:
    """Return the interval by the sums of ``likelihoods``."""
    bets = 2 * RATIOS.size + 1
    mixture = log_sum(likelihood[:bets] - np.log(bets))
    kept = np.flatnonzero(mixture - likelihood[bets:] < -np.log(alpha))
    if kept.size == 0:
        return None, None
    first, last = int(kept[0]), int(kept[-1])
    return (
        None if first == 0 else float(_TRIED[first]),
        None if last == _TRIED.size - 1 else float(_TRIED[last]),
    )
