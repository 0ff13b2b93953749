"""Analyses of a spec, as the plan has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.plan.model import AnalysisPlan, ComparisonPlan, MetricPlan
from relman_plugins.spec.models import Analysis, Budget, Comparison, Metric, Sampled

if TYPE_CHECKING:
    from relman_plugins.plan.judges import BudgetPlan, SampledPlan


_ASKED = {"name", "query", "over", "take"}
"""What of a sampled metric is not the judge's."""


def compiled(name: str, analysis: Analysis | Comparison | Sampled | Budget) -> AnalysisPlan:
    """Return the plan of one analysis."""
    where = {"source": analysis.source, "connection": analysis.connection}
    if isinstance(analysis, Comparison):
        terms = analysis.model_dump(include=set(ComparisonPlan.model_fields))
        comparison = ComparisonPlan.model_validate(terms)
        return AnalysisPlan(name=name, comparison=comparison, **where)
    if isinstance(analysis, Sampled):
        return AnalysisPlan(name=name, sampled=_sampled(analysis), **where)
    if isinstance(analysis, Budget):
        return AnalysisPlan(name=name, budget=_budget(analysis), **where)
    metrics = tuple(_metric(m) for m in analysis.metrics)
    return AnalysisPlan(name=name, metrics=metrics, **where)


def _metric(metric: Metric) -> MetricPlan:
    over_s = metric.over.seconds if metric.over else None
    return MetricPlan.model_validate(metric.model_dump(exclude={"over"}) | {"over_s": over_s})


def _sampled(analysis: Sampled) -> SampledPlan:
    from relman_plugins.plan.judges import SampledMetricPlan, SampledPlan

    # Only what is said: what is not is the judge's own default, and need not be read in every plan.
    metrics = tuple(
        SampledMetricPlan(
            name=m.name,
            query=m.query,
            over_s=m.over.seconds if m.over else None,
            take=m.take,
            terms=m.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_ASKED),
        )
        for m in analysis.metrics
    )
    own = {"confidence", "tolerance", "thresholds", "group_weights"}
    terms = analysis.model_dump(mode="json", by_alias=True, include=own)
    return SampledPlan(metrics=metrics, terms=terms, early_fail=analysis.early_fail, against=analysis.against)


def _budget(analysis: Budget) -> BudgetPlan:
    from relman_plugins.plan.judges import BudgetPlan, BurnWindowPlan, ObjectivePlan

    return BudgetPlan(
        metrics=tuple(ObjectivePlan.model_validate(m.model_dump()) for m in analysis.metrics),
        windows=tuple(
            BurnWindowPlan(
                long_s=w.long.seconds, short_s=w.short.seconds, burn_rate=w.burn_rate, severity=w.severity
            )
            for w in analysis.windows
        ),
    )
