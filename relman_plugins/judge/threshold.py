"""Thresholds: a few looks at a few numbers, and what they say together.

A *look* is one metric at one moment. A *round* is one look at every metric. Rounds are added one at a time
with ``step``, whose state is JSON, so that a wait that is interrupted goes on where it was.

* A failed look is counted; more than ``tolerated_failures`` of one metric and the analysis fails at once.
* An unanswered query is not a failure: the fifth in a row of one metric ends the analysis with ``error``.
* After the last round only a metric whose last look passed has passed. Of the others, one that was never
  answered is ``error``, one that never had enough data is ``no_data``, anything else is ``inconclusive``.
* The analysis is as bad as its worst metric (``Verdict.severity``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.status import Verdict

TOLERATED_ERRORS = 4
"""How many unanswered queries in a row of one metric are still acceptable, inclusive."""


class LimitedLike(Protocol):
    """What every judge in a release needs to know of a metric; the plan's metrics fit as they are."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def max(self) -> float | None: ...  # noqa: D102
    @property
    def min_samples(self) -> float: ...  # noqa: D102


class MetricLike(LimitedLike, Protocol):
    """What this judge needs beside that."""

    @property
    def min(self) -> float | None: ...  # noqa: D102
    @property
    def tolerated_failures(self) -> int: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102


class MetricRule(Frozen):
    """A metric's limits, for callers without a plan."""

    name: str
    max: float | None = None
    """The value passes when it is at most this."""
    min: float | None = None
    """The value passes when it is at least this."""
    min_samples: float = 0
    """What the value must rest on; 0 asks for nothing."""
    tolerated_failures: int = 0
    """How many failed looks are still acceptable, inclusive."""
    unit: str = ""


class Measurement(Frozen):
    """What came back for one metric: a value, nothing, or an error."""

    name: str
    value: float | None = None
    samples: float | None = None
    """What the value rests on; None when not asked or not known."""
    nothing: str = ""
    """Why there is no value, if more is known than that there is none."""
    error: str | None = None
    """Why the query was not answered; then ``value`` and ``samples`` mean nothing."""


class Look(Frozen):
    """One metric at one moment, judged."""

    name: str
    verdict: Verdict
    reason: str
    value: float | None = None
    samples: float | None = None

    def data(self) -> dict[str, Any]:
        """Return the look as an event's JSON: an infinite value, which JSON lacks, becomes None."""
        seen = {k: v if v is not None and math.isfinite(v) else None for k, v in self._numbers().items()}
        return {"name": self.name, **seen, "verdict": self.verdict.value, "reason": self.reason}

    def _numbers(self) -> dict[str, float | None]:
        return {"value": self.value, "samples": self.samples}


class MetricState(Frozen):
    """What is remembered of one metric between rounds."""

    passed: int = 0
    failed: int = 0
    no_data: int = 0
    errors: int = 0
    """All unanswered queries."""
    errors_in_a_row: int = 0
    last: Verdict = Verdict.NO_DATA
    reason: str = ""
    """Why the last look turned out as it did."""


class State(Frozen):
    """What is remembered between rounds; ``model_dump(mode="json")`` and ``model_validate`` carry it over."""

    rounds: int = 0
    metrics: dict[str, MetricState] = Field(default_factory=dict)
    verdict: Verdict | None = None
    """Set once and for good when the analysis has ended."""
    reason: str = ""


class Judgement(NamedTuple):
    """What a round changed."""

    state: State
    verdict: Verdict | None
    """None: go on looking."""
    reason: str
    looks: tuple[Look, ...]


def look(metric: MetricLike, value: float | None, samples: float | None = None, nothing: str = "") -> Look:
    """Judge one value: ``pass``, ``fail``, or ``no_data`` when there is none or it rests on too little.

    ``nothing`` says why there is none.

    The limits themselves pass. A metric without limits is ``inconclusive``: it says nothing.
    """
    verdict, reason = _judged(metric, _number(value), _number(samples), nothing)
    return Look(
        name=metric.name, verdict=verdict, reason=reason, value=_number(value), samples=_number(samples)
    )


def step(
    state: State,
    measurements: Iterable[Measurement],
    *,
    rules: Sequence[MetricLike],
    count: int | None,
    tolerated_errors: int = TOLERATED_ERRORS,
) -> Judgement:
    """Add one round, and say whether the analysis has ended.

    Args:
        state: What ``step`` returned before; ``State()`` at first. An ended state is returned as it is.
        measurements: What came back, by name; a rule without one counts as unanswered, others are ignored.
        rules: The metrics.
        count: Rounds after which the analysis ends; None goes on until a metric fails or stops answering.
        tolerated_errors: How many unanswered queries in a row of one metric are acceptable, inclusive.
    """
    if state.verdict is not None:
        return Judgement(state, state.verdict, state.reason, ())
    came = {m.name: m for m in measurements}
    looks = tuple(_look(rule, came.get(rule.name)) for rule in rules)
    metrics = {seen.name: _counted(state.metrics.get(seen.name, MetricState()), seen) for seen in looks}
    rounds = state.rounds + 1
    verdict, reason = _early(metrics, rules, tolerated_errors)
    if verdict is None and count is not None and rounds >= count:
        verdict, reason = _final(metrics)
    reason = reason or "; ".join(f"{seen.name}: {seen.reason}" for seen in looks)
    after = State(rounds=rounds, metrics=metrics, verdict=verdict, reason=reason if verdict else "")
    return Judgement(after, verdict, reason, looks)


def judge(
    rounds: Iterable[Iterable[Measurement]],
    *,
    rules: Sequence[MetricLike],
    count: int | None,
    tolerated_errors: int = TOLERATED_ERRORS,
) -> Judgement:
    """Judge rounds that are all there already: the same as ``step`` over each, up to the end."""
    result = Judgement(State(), None, "nothing was measured", ())
    for measurements in rounds:
        result = step(result.state, measurements, rules=rules, count=count, tolerated_errors=tolerated_errors)
        if result.verdict is not None:
            break
    return result


def _look(rule: MetricLike, came: Measurement | None) -> Look:
    if came is None:
        return Look(name=rule.name, verdict=Verdict.ERROR, reason="was not measured")
    if came.error is not None:
        return Look(name=rule.name, verdict=Verdict.ERROR, reason=came.error)
    return look(rule, came.value, came.samples, came.nothing)


def _judged(
    metric: MetricLike, value: float | None, samples: float | None, nothing: str
) -> tuple[Verdict, str]:
    if metric.min_samples > 0 and (samples is None or samples < metric.min_samples):
        return (
            Verdict.NO_DATA,
            f"rests on {_text(samples)} samples; at least {_text(metric.min_samples)} needed",
        )
    if value is None:
        return Verdict.NO_DATA, nothing or "the query gave no value"
    if metric.max is None and metric.min is None:
        return Verdict.INCONCLUSIVE, f"{_text(value, metric.unit)}, and the metric has neither max nor min"
    if metric.max is not None and value > metric.max:
        return Verdict.FAIL, f"{_text(value, metric.unit)} is above {_text(metric.max, metric.unit)}"
    if metric.min is not None and value < metric.min:
        return Verdict.FAIL, f"{_text(value, metric.unit)} is below {_text(metric.min, metric.unit)}"
    return Verdict.PASS, f"{_text(value, metric.unit)} is within {_limits(metric)}"


def _counted(before: MetricState, seen: Look) -> MetricState:
    verdict = seen.verdict
    return MetricState(
        passed=before.passed + (verdict is Verdict.PASS),
        failed=before.failed + (verdict is Verdict.FAIL),
        no_data=before.no_data + (verdict is Verdict.NO_DATA),
        errors=before.errors + (verdict is Verdict.ERROR),
        errors_in_a_row=before.errors_in_a_row + 1 if verdict is Verdict.ERROR else 0,
        last=verdict,
        reason=seen.reason,
    )


def _early(
    metrics: dict[str, MetricState], rules: Sequence[MetricLike], tolerated_errors: int
) -> tuple[Verdict | None, str]:
    for rule in rules:
        state = metrics[rule.name]
        if state.failed > rule.tolerated_failures:
            allowed = f", {rule.tolerated_failures} tolerated" if rule.tolerated_failures else ""
            return Verdict.FAIL, f"{rule.name}: {state.reason} (failed look {state.failed}{allowed})"
    for rule in rules:
        state = metrics[rule.name]
        if state.errors_in_a_row > tolerated_errors:
            return Verdict.ERROR, f"{rule.name}: {state.errors_in_a_row} times in a row: {state.reason}"
    return None, ""


def _final(metrics: dict[str, MetricState]) -> tuple[Verdict, str]:
    verdicts = {name: _final_of(state) for name, state in metrics.items()}
    worst = Verdict.worst(list(verdicts.values()))
    if not metrics:
        return worst, "the analysis has no metrics"
    parts = [f"{name}: {metrics[name].reason}" for name, verdict in verdicts.items() if verdict is worst]
    return worst, "; ".join(parts)


def _final_of(state: MetricState) -> Verdict:
    if state.last is Verdict.PASS:
        return Verdict.PASS
    if state.passed or state.failed or state.last is Verdict.INCONCLUSIVE:
        return Verdict.INCONCLUSIVE
    return Verdict.NO_DATA if state.no_data else Verdict.ERROR


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _limits(metric: MetricLike) -> str:
    parts = [] if metric.min is None else [f"at least {_text(metric.min, metric.unit)}"]
    return " and ".join(parts + ([] if metric.max is None else [f"at most {_text(metric.max, metric.unit)}"]))


def _text(value: float | None, unit: str = "") -> str:
    number = "no" if value is None else f"{value:.4g}"
    return f"{number} {unit}" if unit and unit != "ratio" else number
