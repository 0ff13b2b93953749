"""The shift between two samples: against its definition, and what must not change it."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relman_plugins.judge.stats.shift import certainly, shift, superiority

_VALUES = st.lists(st.integers(-50, 50).map(lambda n: n / 4), min_size=1, max_size=60).map(np.array)
_CONFIDENCE = st.sampled_from([0.8, 0.95, 0.98])


@given(_VALUES, _VALUES, _CONFIDENCE)
def test_the_ends_are_where_the_statistic_crosses_the_quantile(
    control: np.ndarray, experiment: np.ndarray, confidence: float
) -> None:
    """R's and Kayenta's root, found by trying every difference."""
    differences = np.sort((experiment[:, None] - control[None, :]).ravel())
    moved = shift(control, experiment, confidence)
    assert moved.estimate == pytest.approx(np.median(differences))
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2)
    lows = [d for d in np.unique(differences) if _statistic(control, experiment, d - 1e-6) > quantile]
    highs = [d for d in np.unique(differences) if _statistic(control, experiment, d + 1e-6) < -quantile]
    assert moved.low == (pytest.approx(max(lows)) if lows else None)
    assert moved.high == (pytest.approx(min(highs)) if highs else None)


def _statistic(control: np.ndarray, experiment: np.ndarray, at: float) -> float:
    x, m, n = experiment - at, experiment.size, control.size
    distance = (x[:, None] > control).sum() + (x[:, None] == control).sum() / 2 - m * n / 2
    ties = np.unique(np.concatenate((x, control)), return_counts=True)[1].astype(float)
    variance = m * n / 12 * ((m + n + 1) - (ties**3 - ties).sum() / ((m + n) * (m + n - 1)))
    return float((distance - np.sign(distance) / 2) / np.sqrt(variance)) if variance > 0 else 0.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["normal", "heavy", "ties", "zeros"]))
def test_large_samples_are_narrowed_to_the_same_figures(seed: int, shape: str) -> None:
    random = np.random.default_rng(seed)
    draw = {
        "normal": lambda n: random.normal(size=n),
        "heavy": lambda n: random.standard_cauchy(n),
        "ties": lambda n: np.round(random.normal(size=n) * 300),
        "zeros": lambda n: random.exponential(size=n) * (random.random(n) < 0.2),
    }[shape]
    control, experiment = draw(250), draw(300)
    differences = np.sort((experiment[:, None] - control[None, :]).ravel())
    moved = shift(control, experiment, 0.98)
    assert moved.estimate == pytest.approx(np.median(differences), abs=1e-12)
    place = np.searchsorted(differences, moved.low)
    assert differences[place] == moved.low


@given(_VALUES, _VALUES, _CONFIDENCE)
def test_changing_sides_turns_the_sign(
    control: np.ndarray, experiment: np.ndarray, confidence: float
) -> None:
    there, back = shift(control, experiment, confidence), shift(experiment, control, confidence)
    assert back.estimate == pytest.approx(-there.estimate)
    assert back.low == (None if there.high is None else pytest.approx(-there.high))
    assert superiority(experiment, control) == pytest.approx(1 - superiority(control, experiment))
    assert certainly(control, experiment, confidence) == -certainly(experiment, control, confidence)


@given(_VALUES, _VALUES, st.sampled_from([2.0**-40, 0.25, 1024.0]))
def test_the_unit_does_not_matter(control: np.ndarray, experiment: np.ndarray, scale: float) -> None:
    here, there = shift(control, experiment, 0.98), shift(control * scale, experiment * scale, 0.98)
    assert there.estimate == here.estimate * scale
    assert there.low == (None if here.low is None else here.low * scale)


def test_four_values_each_cannot_show_anything_at_98_percent() -> None:
    four, five = np.arange(4.0), np.arange(5.0)
    assert shift(four, four + 100, 0.98).low is None
    assert shift(five, five + 100, 0.98).low == 96
