"""The steps of each strategy: how a stage's version comes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relman_plugins.domain.bounds import rolling_bounds
from relman_plugins.errors import PlanError
from relman_plugins.plan.graph import Draft
from relman_plugins.plan.model import StepKind
from relman_plugins.spec.models import BlueGreen, Canary, Comparison, Rolling, Sampled, Stage
from relman_plugins.spec.models.analysis import AnyAnalysis

Maker = Callable[..., Draft]
"""Makes a step of the stage at hand: ``(name, kind, **args)``."""


Analyses = Mapping[str, AnyAnalysis]


def steps(stage: Stage, replicas: int, step: Maker, analyses: Analyses) -> tuple[Draft, ...]:
    """Return the steps that bring the version in, one after the other.

    Raises:
        PlanError: A rolling change of this many replicas could not move, or would leave nobody to serve.
    """
    match stage.strategy:
        case Canary() as canary:
            return _canary(stage, canary, step, analyses)
        case Rolling() as rolling:
            return (_roll(stage, rolling, replicas, step),)
        case BlueGreen() as both:
            preview = (step("preview", StepKind.PREVIEW, promotes=False),) if both.preview else ()
            return (*preview, _shift("switch", 100, both, step, promotes=False))
        case _:
            return (step("deploy", StepKind.DEPLOY, weight=100, promotes=True),)


def keep(stage: Stage, step: Maker) -> Draft | None:
    """Return the step that keeps the old version for a time and then lets it go, if the strategy has one."""
    if not isinstance(stage.strategy, BlueGreen):
        return None
    return step("keep", StepKind.KEEP, keep_s=stage.strategy.keep.seconds, promotes=True)


def _canary(stage: Stage, canary: Canary, step: Maker, analyses: Analyses) -> tuple[Draft, ...]:
    last = canary.steps[-1]
    # At 100 % there is no old version beside it to compare with.
    analysis = analyses.get(canary.analysis or "")
    compares = isinstance(analysis, Comparison) or (
        isinstance(analysis, Sampled) and analysis.against == "beside"
    )
    return tuple(
        _shift(
            f"canary_{w}",
            w,
            canary,
            step,
            promotes=w == last and stage.monitor is None,
            **({"analysis": None} if compares and w == last else {}),
            **({"baseline": True} if canary.baseline == "fresh" and w != last else {}),
            **({"background": True} if canary.background and w != last else {}),
        )
        for w in canary.steps
    )


def _shift(name: str, weight: int, watched: Canary | BlueGreen, step: Maker, **more: Any) -> Draft:
    args = {
        "weight": weight,
        "analysis": watched.analysis,
        "interval_s": watched.interval.seconds,
        "count": watched.count,
    }
    return step(name, StepKind.SHIFT, **args | more)


def _roll(stage: Stage, rolling: Rolling, replicas: int, step: Maker) -> Draft:
    try:
        surge, unavailable = rolling_bounds(rolling.max_surge, rolling.max_unavailable, replicas)
    except ValueError as error:
        raise PlanError(f"stage {stage.id} cannot be rolled: {error}") from None
    return step("roll", StepKind.ROLL, max_surge=surge, max_unavailable=unavailable, promotes=True)
