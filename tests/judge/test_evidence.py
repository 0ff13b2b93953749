"""Fair bets: that nobody can win on average where there is nothing to win, and that winners win soon."""

from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relman_plugins.judge.sequential import family
from relman_plugins.judge.stats.evidence import (
    ODDS,
    RATIOS,
    Rates,
    above,
    calm,
    harm,
    interval,
    rate_gains,
    split_gains,
)
from relman_plugins.judge.stats.samples import Look, look_at, pair_harm, sample_harm, sample_rates

ALPHA = 0.02
NEEDED = -math.log(ALPHA)


@given(st.integers(0, 30), st.integers(1, 25), st.integers(1, 25))
def test_a_bet_on_the_split_is_fair_to_the_last_digit(both: int, control: int, experiment: int) -> None:
    """Its expectation over all ways in which chance splits what is bad is 1."""
    both = min(both, control + experiment)
    whole = math.comb(control + experiment, both)
    mean = np.zeros(ODDS.size)
    for bad in range(max(0, both - control), min(both, experiment) + 1):
        chance = math.comb(experiment, bad) * math.comb(control, both - bad) / whole
        mean += chance * np.exp(split_gains(bad, both, control, experiment, ODDS))
    assert mean == pytest.approx(np.ones(ODDS.size), rel=1e-9)


@given(
    st.floats(0.001, 0.4),
    st.sampled_from([1.0, 1.25, 2.0]),
    st.integers(1, 8),
    st.integers(1, 8),
    st.floats(0, 1),
)
def test_a_bet_on_the_rate_is_never_favourable_to_requests(
    rate: float, null: float, control: int, experiment: int, milder: float
) -> None:
    """Its expectation over all outcomes is at most 1 for every rate that is not above ``null`` times."""
    p_c, p_e = rate, rate * null * milder
    mean = np.zeros(RATIOS.size)
    for b_c in range(control + 1):
        for b_e in range(experiment + 1):
            chance = _binomial(b_c, control, p_c) * _binomial(b_e, experiment, p_e)
            rates = Rates(*(np.array([float(n)]) for n in (b_c, control, b_e, experiment)))
            mean += chance * np.exp(rate_gains(rates, RATIOS * null, null)[0])
    assert (mean <= 1 + 1e-9).all()


def _binomial(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def _rates(
    random: np.random.Generator, runs: int, n: int, control: np.ndarray, experiment: np.ndarray
) -> Rates:
    shape = (runs, control.size)
    total = np.full(shape, float(n))
    return Rates(
        random.binomial(n, control, shape).astype(float), total,
        random.binomial(n, experiment, shape).astype(float), total,
    )  # fmt: skip


@pytest.mark.parametrize(("n", "rate"), [(1, 0.05), (10, 0.02), (200, 0.01), (200, 0.3)])
def test_false_alarms_stay_below_the_level_over_all_looks_even_when_both_arms_drift(
    n: int, rate: float
) -> None:
    drift = rate * (1 + 0.9 * np.sin(np.arange(100) / 6))
    rates = _rates(np.random.default_rng(5), 400, n, drift, drift)
    alarms = [harm(Rates(*(part[i] for part in rates))).max() >= NEEDED for i in range(400)]
    assert np.mean(alarms) <= ALPHA
    limits = above(rates.experiment_bad, rates.experiment, float(drift.max())).max(axis=-1) >= NEEDED
    assert np.mean(limits) <= ALPHA


def test_no_harm_beyond_the_tolerance_is_not_declared_of_what_has_it() -> None:
    rate = np.full(100, 0.02)
    rates = _rates(np.random.default_rng(6), 400, 300, rate, rate * 1.25)
    assert np.mean(calm(rates, 1.0, 0.25).max(axis=-1) >= NEEDED) <= ALPHA
    same = _rates(np.random.default_rng(6), 100, 300, rate, rate)
    assert np.mean(calm(same, 1.0, 0.25).max(axis=-1) >= NEEDED) > 0.8


def test_the_interval_holds_the_ratio_at_every_look() -> None:
    rate = np.full(40, 0.03)
    rates = _rates(np.random.default_rng(7), 100, 100, rate, rate * 2)
    missed = 0
    for i in range(100):
        ends = [interval(Rates(*(part[i, :looks] for part in rates)), ALPHA) for looks in (1, 3, 10, 20, 40)]
        missed += any((low or 0) > 2 or (high or math.inf) < 2 for low, high in ends)
    assert missed <= 4


@pytest.mark.parametrize("size", [1, 5, 40])
def test_latencies_that_drift_together_are_no_harm_and_slower_ones_are(size: int) -> None:
    random, alarms, caught = np.random.default_rng(8), 0, 0
    for _ in range(60):
        scale = np.exp(np.sin(np.arange(40) / 4))[:, None]
        control, experiment = (scale * random.lognormal(4.6, 0.5, (40, size)) for _ in range(2))
        same = [look_at(c, e) for c, e in zip(control, experiment, strict=True)]
        slow = [look_at(c, e * 2) for c, e in zip(control, experiment, strict=True)]
        alarms += sample_harm(same).max() >= NEEDED
        caught += sample_harm(slow).max() >= NEEDED
    assert alarms <= 3
    assert caught >= 50


def test_looks_of_one_value_are_judged_alike_one_by_one_and_together() -> None:
    random = np.random.default_rng(9)
    control, experiment = random.lognormal(size=50), random.lognormal(size=50)
    looks = [look_at(control[i : i + 1], experiment[i : i + 1]) for i in range(50)]
    assert pair_harm(control, experiment) == pytest.approx(sample_harm(looks))


def test_whether_a_value_is_slow_is_decided_by_earlier_looks_only() -> None:
    random = np.random.default_rng(10)
    looks = [look_at(random.normal(size=9), random.normal(size=9)) for _ in range(6)]
    whole = sample_rates(looks, 0.9)
    cut = sample_rates(looks[:4], 0.9)
    assert all(np.array_equal(a[:4], b) for a, b in zip(whole, cut, strict=True))
    assert whole.control[0] == 0


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=6))
def test_a_metric_is_harmful_when_every_set_with_it_is(logs: list[float]) -> None:
    """Closed testing, against all subsets."""
    adjusted = family(logs)
    for i, own in enumerate(logs):
        others = logs[:i] + logs[i + 1 :]
        sets = [
            [own, *(o for k, o in enumerate(others) if mask >> k & 1)] for mask in range(1 << len(others))
        ]
        least = min(math.log(sum(map(math.exp, chosen)) / len(chosen)) for chosen in sets)
        assert adjusted[i] == pytest.approx(least, abs=1e-9)


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(41, 400))
def test_more_harm_is_more_evidence(control_bad: int, bad: int, n: int) -> None:
    found = [
        float(harm(Rates(*(np.array([float(v)]) for v in (control_bad, n, worse, n))))[0])
        for worse in range(bad, min(bad + 40, n), 4)
    ]
    assert all(b >= a - 1e-9 or a < 0 for a, b in pairwise(found))


def test_a_look_of_a_thousand_million_values_is_judged_without_writing_each_out() -> None:
    counts = np.array([600_000_000, 300_000_000, 100_000_000])
    slower = np.array([400_000_000, 300_000_000, 300_000_000])
    looks = [Look(np.array([0.1, 0.2, 0.5]), counts, slower)] * 3
    tracemalloc.start()
    try:
        found, rates = sample_harm(looks), sample_rates(looks, 0.9)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.min() >= NEEDED
    assert list(rates.experiment_bad[1:]) == [0, 0]
    assert peak < 20_000_000


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6))
def test_the_quantile_of_earlier_looks_is_that_of_all_their_values(counts: list[tuple[int, int]]) -> None:
    places = np.arange(len(counts), dtype=np.float64)
    control, experiment = (np.array(part) for part in zip(*counts, strict=True))
    look = Look(places, control, experiment)
    values = np.repeat(places, control + experiment)
    rates = sample_rates([look, look], 0.9)
    if values.size:
        place = float(np.quantile(values, 0.9, method="inverted_cdf"))
        assert (rates.control_bad[1], rates.experiment_bad[1]) == look.above(place)
