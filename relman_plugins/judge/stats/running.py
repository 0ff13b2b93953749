"""The evidence of a share of requests, one look at a time: what ``paths.path_of`` says of all looks so far.

All of it rests on sums over the looks, so a look costs the same however many there were before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from relman_plugins.judge.stats.evidence import (
    CALM,
    CALM_WEIGHTS,
    EXACTLY,
    RATIOS,
    Rates,
    above_gains,
    between,
    calm_gains,
    compared,
    harm_gains,
    likelihoods,
    log_sum,
    ratio_of,
)

_ENDS = np.cumsum([RATIOS.size, RATIOS.size, CALM.size, 2])
"""Where the sums of each kind end: bets on harm, on more than the limit, on calm, terms of the ratio.

The rest are likelihoods.
"""


class Running(NamedTuple):
    """What the looks so far say of a metric whose increase is harm."""

    sums: tuple[float, ...]
    """What each bet has gained (on more than the limit 0 where there is none), the ratio's terms, and the
    likelihoods."""
    exact: int = 0
    """In how many looks the better bet was made."""
    calm: bool = False
    """Whether harm beyond the tolerance was ruled out after any look."""


class Said(NamedTuple):
    """What a metric's looks say together."""

    harm: float
    """The logarithm of the evidence of harm."""
    ratio: float
    interval: tuple[float | None, float | None]


def added(
    before: Running | None,
    look: Sequence[Sequence[int]],
    *,
    limit: float | None,
    tolerance: float,
    alpha: float,
) -> Running:
    """Return what the looks say with one more.

    Args:
        before: What ``added`` returned for the looks before; None for the first.
        look: ``[bad, total]`` of the control and of the experiment.
        limit: A bad share of the experiment above which it is harm by itself.
        tolerance: Harm that is to be ruled out.
        alpha: Chance of ruling it out wrongly.
    """
    rates = Rates(*(np.array([float(n)]) for arm in look for n in arm))
    was = before or Running(())
    harmful, exact = harm_gains(rates, 1.0, EXACTLY - was.exact)
    over = above_gains(rates.experiment_bad, rates.experiment, limit) if limit is not None else harmful * 0
    parts = (harmful, over, calm_gains(rates, 1.0, tolerance), compared(rates), likelihoods(rates))
    gained = np.concatenate(parts, axis=1)[0]
    sums = gained + was.sums if was.sums else gained
    _, _, bets, *_ = np.split(sums, _ENDS)
    calm = was.calm or bool(log_sum(bets + CALM_WEIGHTS) >= -np.log(alpha))
    return Running(tuple(sums.tolist()), was.exact + exact, calm)


def together(one: Running | None, other: Running | None) -> Running | None:
    """Return what the looks of both say; None where neither has any. Calm is not asked of both."""
    if one is None or other is None:
        return one or other
    return Running(tuple(a + b for a, b in zip(one.sums, other.sums, strict=True)), one.exact + other.exact)


def said(running: Running, *, limit: float | None, alpha: float) -> Said:
    """Return what the looks say together; ``limit`` as for ``added``."""
    worse, over, _, terms, likelihood = np.split(np.array(running.sums), _ENDS)
    harm, beyond = (log_sum(bets - np.log(RATIOS.size)) for bets in (worse, over))
    if limit is not None:  # half of the stake is on either kind of harm
        harm = np.logaddexp(harm, beyond) - np.log(2)
    return Said(float(harm), ratio_of(*terms), between(likelihood, alpha))
