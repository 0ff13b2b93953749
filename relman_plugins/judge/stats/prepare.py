"""What happens to a series before it is judged: values that are no numbers, and outliers."""

from __future__ import annotations

import numpy as np

from relman_plugins.judge.stats.shift import Array


def without_nan(values: Array, *, replace: bool) -> Array:
    """Leave out what is no number, or put 0 in its place."""
    missing = np.isnan(values)
    if replace:
        return np.where(missing, 0.0, values)
    return values[~missing]


def without_outliers(values: Array, factor: float, *, reduce_sensitivity: bool) -> Array:
    """Leave out values beyond Tukey's fences: ``factor`` times the distance of the quartiles from either.

    With ``reduce_sensitivity`` the fences are at least as wide as the 1st and 99th percentile. Quantiles
    are those of Hyndman & Fan's seventh kind (R's and numpy's default), as in Kayenta.
    """
    if values.size == 0:
        return values
    p1, q1, q3, p99 = np.quantile(values, [0.01, 0.25, 0.75, 0.99])
    low, high = q1 - factor * (q3 - q1), q3 + factor * (q3 - q1)
    if reduce_sensitivity:
        low, high = min(low, p1), max(high, p99)
    kept: Array = values[(values >= low) & (values <= high)]
    return kept
