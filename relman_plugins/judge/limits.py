"""Thresholds on the numbers of a document: ``threshold`` look by look, for one version without a control.

Each metric's looks are those of ``experiment``. A look without a value is ``"NaN"``, one without an answer
is ``{"error": "why"}``. The rules are those of ``relman_plugins.judge.threshold``; the first ``warm_up``
looks are left out.
"""

from __future__ import annotations

import math
from typing import Any

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.document import BadDocument, Document, MetricData
from relman_plugins.judge.report import Finding, Label
from relman_plugins.judge.series import number, pair
from relman_plugins.judge.threshold import Judgement, Measurement, MetricRule, judge


def limited(metric: MetricData, document: Document, path: str) -> Finding:
    """Judge one metric by its limits."""
    if metric.max is None and metric.min is None:
        raise BadDocument(path, "has neither max nor min, so nothing can be judged")
    rule = MetricRule(
        name=metric.name, max=metric.max, min=metric.min, min_samples=metric.min_samples or 0,
        tolerated_failures=metric.tolerated_failures,
    )  # fmt: skip
    rounds = [
        [_measured(metric, value, f"{path}.experiment[{i}]")] for i, value in enumerate(metric.experiment)
    ][metric.warm_up :]
    planned = None if document.horizon is None else max(1, document.horizon - metric.warm_up)
    count = max(len(rounds), 1) if planned is None else planned
    seen = judge(rounds, rules=[rule], count=count, tolerated_errors=document.tolerated_errors)
    if not rounds:
        said = f"no look is left after {metric.warm_up} to warm up" if metric.experiment else "no looks"
        verdict = Verdict.FAIL if metric.must_have_data else Verdict.NO_DATA
        return Finding.of(metric, "Nodata", said, verdict, critical=metric.critical)
    verdict = Verdict.INCONCLUSIVE if seen.verdict is None else seen.verdict
    reason = seen.reason.removeprefix(f"{metric.name}: ")
    if seen.verdict is None:
        reason = f"undecided after {len(metric.experiment)} of {document.horizon} looks: {reason}"
    if verdict is Verdict.NO_DATA and metric.must_have_data:
        verdict, reason = Verdict.FAIL, f"must have data: {reason}"
    last = seen.looks[-1] if seen.looks else None
    return Finding.of(
        metric, _label(metric, seen, verdict), reason, verdict,
        critical=metric.critical and verdict is not Verdict.PASS,
        effect=None if last is None else last.value,
        details=(_counted(metric, seen),),
        more={"looks": seen.state.rounds + metric.warm_up},
    )  # fmt: skip


def _measured(metric: MetricData, value: Any, path: str) -> Measurement:
    if isinstance(value, dict):
        error = value.get("error")
        if set(value) != {"error"} or not isinstance(error, str):
            raise BadDocument(path, 'expected a look, or {"error": "why there is none"}')
        return Measurement(name=metric.name, error=error[:500])
    if metric.kind == "proportion":
        bad, total = pair(value, path)
        share = bad / total if total > 0 else None
        return Measurement(name=metric.name, value=share, samples=None if math.isnan(total) else total)
    found = number(value, path)
    if metric.kind == "count" and found < 0:
        raise BadDocument(path, f"{found:g} is negative; expected a count")
    return Measurement(name=metric.name, value=None if math.isnan(found) else found)


def _label(metric: MetricData, seen: Judgement, verdict: Verdict) -> Label:
    if verdict is Verdict.PASS:
        return "Pass"
    if verdict is Verdict.ERROR:
        return "Error"
    last = seen.looks[-1].value if seen.looks and seen.looks[-1].verdict is Verdict.FAIL else None
    if last is None:
        return "Nodata"
    return "High" if metric.max is not None and last > metric.max else "Low"


def _counted(metric: MetricData, seen: Judgement) -> str:
    state = seen.state.metrics.get(metric.name)
    if state is None:
        return "no look"
    return (
        f"{state.passed} looks passed, {state.failed} failed ({metric.tolerated_failures} tolerated), "
        f"{state.no_data} without data, {state.errors} without an answer"
    )
