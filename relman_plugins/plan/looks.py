"""How often a step looks at the numbers: as planned, and another try of a soak for what is left of it."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind
from relman_plugins.plan.model import StepKind

if TYPE_CHECKING:
    from relman_plugins.domain.event import Event
    from relman_plugins.plan.model import AnalysisPlan, Step


def looks_of(step: Step, analysis: AnalysisPlan, age_s: float = 0.0) -> int:
    """Return after how many looks a watch ends.

    Another try of a soak begins to look anew, except where samples of all tries count, but the time since
    the first one began (``age_s``) is over: it looks for the rest, and at least so often that it can fail or
    pass.
    """
    if "count" in step.args:
        return int(step.args["count"])
    whole_s, interval_s = float(step.args["for_s"]), float(step.args["interval_s"])
    whole = max(1, ceil(whole_s / interval_s))
    if step.kind is not StepKind.SOAK or analysis.compares:
        return whole
    return min(whole, max(ceil((whole_s - age_s) / interval_s), _fewest(analysis, interval_s)))


def age_at(events: Iterable[Event], step: Step, attempt: str) -> float:
    """Return how many seconds after the first try of a step another one began.

    Args:
        events: Of the release.
        step: The step.
        attempt: What the keys of the try's events begin with.
    """
    begun = {e.key: e.at for e in events if e.kind is Kind.STEP_STARTED and e.step == step.id}
    own = begun.get(f"{attempt}:started")
    return (own - min(begun.values())).total_seconds() if own else 0.0


def _fewest(analysis: AnalysisPlan, interval_s: float) -> int:
    if analysis.budget is not None:
        return ceil(min(w.short_s for w in analysis.budget.windows) / interval_s)
    return 1 + max((metric.tolerated_failures for metric in analysis.metrics), default=0)
