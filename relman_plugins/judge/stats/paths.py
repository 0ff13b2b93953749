"""From a metric's numbers to what they say after each look."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relman_plugins.judge.document import BadDocument, MetricData, kind_of
from relman_plugins.judge.series import NAN, counts, counts_by_exposure, numbers, pairs
from relman_plugins.judge.stats.evidence import Array, Rates, above, calm, harm
from relman_plugins.judge.stats.samples import (
    LEVELS,
    Look,
    look_at,
    pair_harm,
    pair_rates,
    sample_harm,
    sample_rates,
)


class Path(NamedTuple):
    """What a metric's numbers say after each look. Logarithms of e-values, one entry for each look."""

    harm: Array
    up: NDArray[np.bool_]
    """True where what harm there is lies above rather than below."""
    calm: Array
    rates: Rates
    samples: tuple[Array, Array]
    """How much the control and the experiment have had up to each look."""


def path_of(metric: MetricData, tolerance: float, path: str) -> Path | None:
    """Return what the numbers say; None if an arm has none. ``max`` can be exceeded without a control.

    Raises:
        BadDocument: The numbers are not what the metric's kind asks for.
    """
    if metric.kind == "values":
        return _values(metric, tolerance, path)
    rates = _rates(metric, path)
    if not rates.experiment.sum() or (metric.max is None and not rates.control.sum()):
        return None
    up, down = _sides(metric)
    found = {side: _one_side(rates if side == "up" else rates.swapped(), metric, side, tolerance) for side in
             ("up", "down") if (up if side == "up" else down)}  # fmt: skip
    return _joined(found, rates, (np.cumsum(rates.control), np.cumsum(rates.experiment)))


def _sides(metric: MetricData) -> tuple[bool, bool]:
    """Return whether an increase and a decrease are harmful; of bad things only the first, by default."""
    direction = metric.direction
    if metric.kind != "values" and "direction" not in metric.model_fields_set:
        direction = "increase"
    return direction != "decrease", direction != "increase"


def _allowed(metric: MetricData, side: str) -> float:
    """Return by how much the rate may rise; a fall to a half is a rise of the other arm to two."""
    if side == "up":
        allowed = metric.effect_size.allowed_increase
        return 1.0 if allowed is None else max(allowed, 1.0)
    fall = metric.effect_size.allowed_decrease
    return 1.0 if fall is None else 1 / min(max(fall, 1e-6), 1.0)


def _one_side(rates: Rates, metric: MetricData, side: str, tolerance: float) -> tuple[Array, Array]:
    allowed = _allowed(metric, side)
    harmful = harm(rates, allowed, requests=metric.kind == "proportion")
    if metric.max is not None and side == "up":  # half of the stake on either kind of harm
        harmful = np.logaddexp(harmful, above(rates.experiment_bad, rates.experiment, metric.max)) - np.log(2)
    return harmful, calm(rates, allowed, tolerance)


def _joined(sides: dict[str, tuple[Array, Array]], rates: Rates, samples: tuple[Array, Array]) -> Path:
    """Put the sides together: half of the stake on either, and calm only where both are."""
    harms = [sides[side][0] for side in sides]
    calms = [sides[side][1] for side in sides]
    if len(sides) == 1:
        up = np.full(harms[0].size, "up" in sides)
        return Path(harms[0], up, calms[0], rates, samples)
    both = np.logaddexp(*harms) - np.log(2)
    return Path(both, harms[0] >= harms[1], np.minimum(*calms), rates, samples)


def _rates(metric: MetricData, path: str) -> Rates:
    rows = []
    length = max(len(metric.control), len(metric.experiment))
    read = pairs if metric.kind == "proportion" else counts_by_exposure
    for arm in ("control", "experiment"):
        found = np.array(read(getattr(metric, arm), f"{path}.{arm}"), np.float64).reshape(-1, 2)
        found = np.where(np.isnan(found).any(axis=1, keepdims=True), 0.0, found)
        rows += list(np.pad(found, ((0, length - len(found)), (0, 0))).T)
    return Rates(*rows)


def _values(metric: MetricData, tolerance: float, path: str) -> Path | None:
    up, down = _sides(metric)
    flat = not metric.buckets and not any(isinstance(v, list) for v in (*metric.control, *metric.experiment))
    control, experiment = np.empty(0), np.empty(0)
    looks: list[Look] = []
    if flat:
        control, experiment = (_flat(metric, arm, path) for arm in ("control", "experiment"))
        if control.size != experiment.size:  # they can't be paired: all of it is one look
            looks, flat = [look_at(control[~np.isnan(control)], experiment[~np.isnan(experiment)])], False
    else:
        looks = _looks(metric, path)
    if flat:
        known = ~np.isnan(control) & ~np.isnan(experiment)
        sizes = [np.cumsum(known, dtype=np.int64)] * 2
    else:
        arms = ("control", "experiment")
        sizes = [np.cumsum([int(getattr(look, arm).sum()) for look in looks]) for arm in arms]
    if not sizes[0].size or not sizes[0][-1] or not sizes[1][-1]:
        return None
    found = {}
    for side in [name for name, on in (("up", up), ("down", down)) if on]:
        if flat:
            sign = 1.0 if side == "up" else -1.0
            levels = [pair_rates(sign * control, sign * experiment, level) for level in LEVELS]
            harmful = pair_harm(sign * control, sign * experiment)
        else:
            turned = looks if side == "up" else [look.turned() for look in looks]
            levels = [sample_rates(turned, level) for level in LEVELS]
            harmful = sample_harm(turned)
        allowed = _allowed(metric, side)
        if allowed != 1:
            by_level = [harm(rates, allowed) for rates in levels]
            harmful = np.logaddexp(*by_level) - np.log(2)
        found[side] = harmful, np.minimum(*(calm(rates, allowed, tolerance) for rates in levels)), levels[-1]
    rates = next(iter(found.values()))[2]
    samples = (sizes[0].astype(np.float64), sizes[1].astype(np.float64))
    return _joined({side: (h, c) for side, (h, c, _) in found.items()}, rates, samples)


def _flat(metric: MetricData, arm: str, path: str) -> Array:
    values = np.array(numbers(getattr(metric, arm), f"{path}.{arm}"), np.float64)
    return np.nan_to_num(values, nan=0.0) if metric.nan_strategy == "replace" else values


def _looks(metric: MetricData, path: str) -> list[Look]:
    arms = [
        [_look(metric, value, f"{path}.{arm}[{i}]") for i, value in enumerate(getattr(metric, arm))]
        for arm in ("control", "experiment")
    ]
    if not metric.buckets:
        nothing = np.empty(0)
        return [look_at(c, e) for c, e in zip_longest(*arms, fillvalue=nothing)]
    places = np.array([*metric.buckets, np.inf])
    none = np.zeros(places.size)
    return [
        Look(places, c.astype(np.int64), e.astype(np.int64)) for c, e in zip_longest(*arms, fillvalue=none)
    ]


def _look(metric: MetricData, value: Any, path: str) -> Array:
    """Return one look of one arm: its values, or how many lie in each bucket."""
    if value == NAN and isinstance(value, str):
        return np.zeros(len(metric.buckets) + 1) if metric.buckets else np.empty(0)
    if not isinstance(value, list):
        raise BadDocument(path, f"expected a list with the values of this look; found {kind_of(value)}")
    if not metric.buckets:
        values = np.array(numbers(value, path), np.float64)
        return np.nan_to_num(values) if metric.nan_strategy == "replace" else values[~np.isnan(values)]
    if len(value) != len(metric.buckets) + 1:
        needed = len(metric.buckets) + 1
        raise BadDocument(path, f"{len(value)} counts; {needed} expected, one for each bucket and one above")
    found = np.array(counts(value, path), np.float64)
    if np.isnan(found).any() or (found != np.floor(found)).any() or (found > 1e9).any():
        raise BadDocument(path, "expected whole numbers up to 1e9")
    return found
