"""What the judges of samples and of error budgets need in a plan; imported where an analysis has one of them.

Apart from the other models since every parse of a DAG file imports those, and few pipelines need these.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.source import Take


class SampledMetricPlan(Frozen):
    """One number, of both versions."""

    name: str
    query: str
    """Gives one number; ``$version`` is the new version, then the old one."""
    over_s: float | None = None
    """Seconds of a series of which ``take`` makes the number; None asks for the number as it is now."""
    take: Take = "mean"
    terms: dict[str, Any] = Field(default_factory=dict)
    """How it is judged: fields of a metric of :mod:`relman_plugins.judge.document`."""


class SampledPlan(Frozen):
    """How samples of both versions are judged once all are there."""

    metrics: tuple[SampledMetricPlan, ...]
    terms: dict[str, Any]
    """``{confidence, tolerance, thresholds, group_weights}``, as in :mod:`relman_plugins.judge.document`."""
    early_fail: bool
    """Whether looks before the last may fail it, with a tenth of the chance of a false alarm."""
    against: Literal["beside", "before"] = "beside"
    """Whether the old version's numbers are of the same time, or (weaker) of the time before the change."""


class ObjectivePlan(Frozen):
    """A share of requests that must be good."""

    name: str
    objective: float
    bad: str
    """Counts; ``$window`` is one of the windows, or the time since the watch began if shorter."""
    total: str
    min_samples: float = 0
    """Requests in a long window, below which its pair is not judged."""


class BurnWindowPlan(Frozen):
    """A pair of windows, and how fast the budget may burn in both."""

    long_s: int
    short_s: int
    burn_rate: float
    severity: Literal["page", "ticket"]


class BudgetPlan(Frozen):
    """How fast error budgets may burn."""

    metrics: tuple[ObjectivePlan, ...]
    windows: tuple[BurnWindowPlan, ...]
