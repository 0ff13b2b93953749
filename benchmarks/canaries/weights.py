"""Canaries of several weights: each judged by itself, or by one watch in the background of all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.canaries.methods import ALPHA, first
from benchmarks.canaries.traffic import BASE, POLLS, Array
from relman_plugins.judge.stats.evidence import RATIOS, Rates, log_sum, rate_gains

WEIGHTS = (5, 25, 50)
"""Percent of the traffic of the new version, each for as many polls."""
EACH = POLLS // len(WEIGHTS)
TRAFFIC = (1000, 10_000)
WAYS = ("each by itself", "one gambler", "in the background")


class Case(NamedTuple):
    """What is wrong with the new version at each weight: how many times as many of its requests fail."""

    said: str
    times: tuple[float, ...]


CASES = (
    Case("nothing", (1.0, 1.0, 1.0)),
    Case("errors × 1.5", (1.5, 1.5, 1.5)),
    Case("errors × 2", (2.0, 2.0, 2.0)),
    Case("errors × 4", (4.0, 4.0, 4.0)),
    Case("errors × 4 at 50 %", (1.0, 1.0, 4.0)),
)


class Seen(NamedTuple):
    """What a way to judge did in a case."""

    aborted: float
    """Share of canaries."""
    harmed: float
    """Bad requests that the new version served until the abort, on average."""


def simulate(traffic: int, case: Case, runs: int, random: np.random.Generator) -> Rates:
    """Draw canaries whose errors swing by 80 % with the time of day, in both versions alike."""
    swing = np.sin(2 * np.pi * (np.arange(POLLS) / POLLS + random.random((runs, 1))))
    rate = BASE * (1 + 0.8 * swing)
    new = np.repeat(np.array(WEIGHTS) * traffic // 100, EACH) * np.ones((runs, 1))
    old = traffic - new
    worse = np.minimum(rate * np.repeat(case.times, EACH), 1.0)
    drawn = [random.binomial(n.astype(np.int64), p) for n, p in ((old, rate), (new, worse))]
    return Rates(drawn[0].astype(float), old, drawn[1].astype(float), new)


def evidence(rates: Rates) -> Array:
    """Return the evidence of harm after each poll, by each weight at which betting began: -inf before it."""
    gains = rate_gains(rates, RATIOS, 1.0)
    found = np.full((len(WEIGHTS), *gains.shape[:-1]), -np.inf)
    for weight in range(len(WEIGHTS)):
        began = weight * EACH
        stakes = np.cumsum(gains[:, began:], axis=1)
        found[weight, :, began:] = log_sum(stakes - np.log(RATIOS.size))
    return found


def aborted(rates: Rates) -> dict[str, NDArray[np.int64]]:
    """Return in which poll each canary is aborted, by each way to judge; the number of polls is never."""
    begun = evidence(rates)
    weight = np.arange(POLLS) // EACH
    own = begun[weight, :, np.arange(POLLS)].T
    shared = np.log(len(WEIGHTS) / ALPHA)
    return {
        "each by itself": first(own >= shared),
        "one gambler": first(begun[0] >= -np.log(ALPHA)),
        "in the background": first(np.logaddexp.reduce(begun, axis=0) >= shared),
    }


def measure(traffic: int, case: Case, runs: int, seed: int) -> dict[str, Seen]:
    """Simulate a case; the same seed gives the same figures."""
    rates = simulate(traffic, case, runs, np.random.default_rng([seed, runs]))
    served = np.cumsum(rates.experiment_bad, axis=1)
    return {
        way: Seen(
            float((ends < POLLS).mean()), float(served[np.arange(runs), np.minimum(ends, POLLS - 1)].mean())
        )
        for way, ends in aborted(rates).items()
    }


def section(runs: int) -> Iterator[str]:
    """Yield the page's section about canaries of several weights, line by line."""
    shares = ", ".join(f"{weight} %" for weight in WEIGHTS)
    yield "## Over several weights\n"
    yield f"The sequential judge on failed requests over {shares}, {EACH} polls each, with drift;"
    yield f"{runs:,} canaries in each row. Each weight by itself has a third of the level; in the background"
    yield "it goes on with what was seen before. One gambler who began at the first weight would be late"
    yield "where harm begins late. Share aborted, and bad requests served until then (mean).\n"
    yield "| requests per poll | wrong | " + " | ".join(WAYS) + " |"
    yield "|" + "---|" * (2 + len(WAYS))
    for number, (traffic, case) in enumerate((t, c) for t in TRAFFIC for c in CASES):
        seen = measure(traffic, case, runs, 1000 + number)
        figures = (f"{100 * seen[way].aborted:.1f} % · {seen[way].harmed:,.1f}" for way in WAYS)
        yield f"| {traffic:,} | {case.said} | " + " | ".join(figures) + " |"
