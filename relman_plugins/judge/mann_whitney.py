"""Mann-Whitney: does the new version differ from the old one, when both ran for a fixed time?

The semantics are those of Kayenta's ``NetflixACAJudge-v1.0``. A metric is High if the lower end of the
interval of the shift (Hodges-Lehmann, 98 %) is above ``tolerance`` times the size of the estimated shift,
*and* the effect size reaches ``allowed_increase``; Low likewise on the other side. An effect size that can't
be computed (the ratio of means, of which one is not above 0) leaves the interval to decide alone. Look once,
at the end: there is no correction for looking again; ``sequential`` is for that.

Otherwise than in Kayenta: samples so small that nothing could be certain are ``Nodata`` (there they are High
or Low whenever they don't overlap); with ``must_have_data`` an arm without any value is no data, whatever
``nan_strategy`` makes of it; a mean below 0 has no ratio either (there only one of 0 has none); two constants
are compared as they are, without noise; ends are exact at any scale; where most values are equal (a rare
error), the shift is 0 and the plain U test decides; confidence and tolerance are the document's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.document import Document, MetricData
from relman_plugins.judge.report import Finding, Label
from relman_plugins.judge.series import one_number_a_look

if TYPE_CHECKING:
    from relman_plugins.judge.stats.shift import Array, Shift


def classify(metric: MetricData, document: Document, path: str) -> Finding:
    """Judge one metric that comes with numbers; ``path`` is its place in the document."""
    from relman_plugins.judge.stats.shift import shift

    if metric.must_have_data and (silent := _silent(metric, path)):
        return missing(metric, silent)
    control, left_out = _prepared(metric, "control", path)
    experiment, also = _prepared(metric, "experiment", path)
    if control.size == 0 or experiment.size == 0:
        if metric.nan_strategy == "replace":
            return Finding.of(metric, "Pass", "an arm is empty, which counts as zeros")
        return missing(metric, "control" if control.size == 0 else "experiment")
    effect = _effect(metric, control, experiment)
    moved = shift(control, experiment, document.confidence)
    details = (
        f"control: {_described(control)}", f"experiment: {_described(experiment)}",
        *([f"{left_out + also} values left out as outliers or as no numbers"] if left_out + also else []),
        f"estimated shift {moved.estimate:.4g}, tolerated {document.tolerance * abs(moved.estimate):.4g}",
    )  # fmt: skip
    label, reason, critical = _compared(metric, document, control, experiment, moved, effect)
    return Finding.of(
        metric, label, reason, critical=critical, effect=effect, details=details,
        interval=None if moved.low is None else (moved.low, moved.high),
    )  # fmt: skip


def given(metric: MetricData) -> Finding:
    """Return a finding on a metric whose classification came with it."""
    label = metric.classification or "Nodata"
    if label == "Nodata" and metric.must_have_data:
        return missing(metric, "it")
    return Finding.of(metric, label, f"given as {label}", critical=metric.critical)


def _prepared(metric: MetricData, arm: str, path: str) -> tuple[Array, int]:
    import numpy as np

    from relman_plugins.judge.stats.prepare import without_nan, without_outliers

    raw = one_number_a_look(metric.kind, getattr(metric, arm), f"{path}.{arm}")
    values = without_nan(np.asarray(raw, np.float64), replace=metric.nan_strategy == "replace")
    if metric.outliers.strategy == "remove":
        outliers = metric.outliers
        values = without_outliers(values, outliers.factor, reduce_sensitivity=outliers.reduce_sensitivity)
    return values, len(raw) - values.size


def _silent(metric: MetricData, path: str) -> str:
    """Return the arm that has no value at all, which no replacement makes data; empty when both have one."""
    for arm in ("control", "experiment"):
        if all(map(math.isnan, one_number_a_look(metric.kind, getattr(metric, arm), f"{path}.{arm}"))):
            return arm
    return ""


def missing(metric: MetricData, what: str) -> Finding:
    """Return a finding on a metric without data; ``what`` says of which there is none."""
    if metric.must_have_data:
        reason = f"must have data, and {what} has none"
        return Finding.of(metric, "Nodata", reason, Verdict.FAIL, critical=metric.critical)
    return Finding.of(metric, "Nodata", f"{what} has no data", critical=metric.critical)


def _effect(metric: MetricData, control: Array, experiment: Array) -> float | None:
    """Return the effect size; None where it can't be computed."""
    if metric.effect_size.measure == "cles":
        from relman_plugins.judge.stats.shift import superiority

        return superiority(control, experiment)
    before, after = float(control.mean()), float(experiment.mean())
    if before <= 0 or after <= 0:
        return None  # of a mean below 0 the ratio points the other way, or nowhere
    ratio = after / before
    return ratio if math.isfinite(ratio) else None


def _compared(
    metric: MetricData,
    document: Document,
    control: Array,
    experiment: Array,
    moved: Shift,
    effect: float | None,
) -> tuple[Label, str, bool]:
    """Return the classification, why, and whether it is a critical failure."""
    import numpy as np

    from relman_plugins.judge.stats.shift import certainly

    if control.size == experiment.size and np.array_equal(np.sort(control), np.sort(experiment)):
        return "Pass", "control and experiment are identical", False
    if control.min() == control.max() == experiment.min() == experiment.max():
        return "Pass", f"there is one value only, {float(control.min()):.4g}", False
    if moved.low is None or moved.high is None:
        points = f"{control.size} and {experiment.size} points"
        return "Nodata", f"{points} cannot show anything at {document.confidence:.4g}", metric.critical
    low, high = moved.low, moved.high
    size, tolerated = metric.effect_size, document.tolerance * abs(moved.estimate)
    said = f"shift of {moved.estimate:.4g}, between {low:.4g} and {high:.4g}"
    side = 0
    if moved.estimate == 0 == low * high:
        side = certainly(control, experiment, document.confidence)
        said += f"; {_RARE[side]}" if side else ""
    if metric.direction != "decrease" and (low > tolerated or side > 0):
        return _large("High", said, metric, effect, size.allowed_increase, size.critical_increase)
    if metric.direction != "increase" and (high < -tolerated or side < 0):
        return _large("Low", said, metric, effect, size.allowed_decrease, size.critical_decrease)
    if low > tolerated or high < -tolerated or side:
        return "Pass", f"{said}; only {metric.direction} is harmful", False
    return "Pass", f"no certain change: {said}", False


_RARE = {
    1: "most values are equal, and of the others the experiment's are certainly higher",
    -1: "most values are equal, and of the others the experiment's are certainly lower",
}


def _large(
    label: Label,
    said: str,
    metric: MetricData,
    effect: float | None,
    allowed: float | None,
    fatal: float | None,
) -> tuple[Label, str, bool]:
    """Apply the second gate, the effect size, to a change that is certain."""
    measure, none = metric.effect_size.measure, metric.effect_size.no_change
    if effect is None:
        return label, f"{said}; {measure} can't be computed", metric.critical
    limit = none if allowed is None else allowed
    critical = none if fatal is None else fatal
    sign = 1 if label == "High" else -1
    if sign * (effect - limit) < 0:
        return "Pass", f"{said}; {measure} {effect:.4g} is within the allowed {limit:g}", False
    return label, f"{said}; {measure} {effect:.4g}", metric.critical and sign * (effect - critical) >= 0


def _described(values: Array) -> str:
    import numpy as np

    return (
        f"{values.size} points, median {float(np.median(values)):.4g}, mean {float(values.mean()):.4g}, "
        f"{float(values.min()):.4g} to {float(values.max()):.4g}"
    )
