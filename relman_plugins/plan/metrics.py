"""Analyses in a plan: what is asked, and how the numbers are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.source import DEFAULT, Take

if TYPE_CHECKING:
    from relman_plugins.plan.judges import BudgetPlan, SampledPlan
else:
    # Each parse of a DAG file imports this; few pipelines need those.
    BudgetPlan = SampledPlan = Any


class MetricPlan(Frozen):
    """One metric of an analysis: a query, and what it must be."""

    name: str
    query: str
    """In the source's language; ``$service``, ``$version`` and the like are filled in."""
    max: float | None = None
    """The value passes when it is at most this."""
    min: float | None = None
    """The value passes when it is at least this."""
    over_s: float | None = None
    """Seconds of a series of which ``take`` makes the value; None asks for the number as it is now."""
    take: Take = "mean"
    samples: str | None = None
    """Counts what the value rests on; fewer than ``min_samples`` is ``no_data``."""
    min_samples: float = 0
    tolerated_failures: int = 0
    """How many failed looks are still acceptable, inclusive: the next one fails the analysis."""
    unit: str = ""


class ComparedPlan(Frozen):
    """One share of requests that is bad, of both versions."""

    name: str
    bad: str
    """Counts; ``$version`` is the new version, then the old one, ``$window`` since when."""
    total: str
    max: float | None = None
    """A bad share of the new version above this is harm by itself."""
    min_samples: float = 50
    """Requests that each version must have had before the metric passes."""


class ComparisonPlan(Frozen):
    """How a new version is compared with the old one that serves beside it."""

    metrics: tuple[ComparedPlan, ...]
    false_alarms: float
    """Chance of failing a version that is no worse, over all steps of a stage together."""
    tolerance: float
    """Harm to be ruled out: a bad share above ``1 + tolerance`` times the old version's."""
    undecided: Literal["inconclusive", "pass"]
    """What it means when neither is certain after the last look."""
    early_pass: bool
    """Whether it ends with the first look that rules out harm beyond the tolerance."""


def _sampled(value: Any) -> Any:
    if isinstance(value, dict):
        from relman_plugins.plan.judges import SampledPlan

        return SampledPlan.model_validate(value)
    return value


def _budget(value: Any) -> Any:
    if isinstance(value, dict):
        from relman_plugins.plan.judges import BudgetPlan

        return BudgetPlan.model_validate(value)
    return value


class AnalysisPlan(Frozen):
    """A named set of metrics; exactly one of the ways to judge them is there."""

    name: str
    source: str = DEFAULT
    """Kind of the source that the numbers come from."""
    connection: str
    """Airflow connection id of the source."""
    metrics: tuple[MetricPlan, ...] = ()
    """What is judged by limits; empty where there is another judge."""
    comparison: ComparisonPlan | None = None
    sampled: Annotated[SampledPlan | None, BeforeValidator(_sampled)] = None
    """Samples of both versions, judged once all are there."""
    budget: Annotated[BudgetPlan | None, BeforeValidator(_budget)] = None
    """How fast error budgets may burn."""

    @property
    def judge(self) -> Literal["thresholds", "sequential", "mann_whitney", "slo"]:
        """How the numbers are judged, by its name in a spec."""
        if self.comparison is not None:
            return "sequential"
        if self.sampled is not None:
            return "mann_whitney"
        return "thresholds" if self.budget is None else "slo"

    @property
    def by_judge(self) -> ComparisonPlan | SampledPlan | BudgetPlan | None:
        """What its judge needs; None for limits, which stand with the metrics."""
        return self.comparison or self.sampled or self.budget

    @property
    def compares(self) -> bool:
        """Whether there must be an old version for it."""
        return self.comparison is not None or self.sampled is not None
