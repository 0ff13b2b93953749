"""The picture of an analysis: what was seen of both versions, the bounds, and the decision. Facts only.

Pure: the same plan and the same events give the same picture. Whatever a record may lack is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.look import FRESH
from relman_plugins.plan.judges import BudgetPlan
from relman_plugins.plan.model import AnalysisPlan, ComparisonPlan, MetricPlan, Shape

MOST_POINTS = 240
"""Looks that a picture shows; of more, every second, third … is left out, never the first or the last."""

Points = tuple[float | None, ...]


class Line(Frozen):
    """A line through the looks: what was seen, or a bound."""

    name: str
    role: str
    """``new``, ``old``, or ``bound``."""
    points: Points


class Panel(Frozen):
    """One metric."""

    metric: str
    unit: str
    """``%`` of requests, ``times`` as fast as allowed, or the metric's own."""
    lines: tuple[Line, ...]
    band: tuple[tuple[float, float] | None, ...] = ()
    """Where the new version may lie at each look, by what is known of it; empty where nobody says."""
    verdict: str
    reason: str


class Picture(Frozen):
    """One analysis of one step."""

    release_id: str
    step: str
    analysis: str
    judge: str
    """``thresholds``, ``sequential``, ``mann_whitney`` or ``slo``."""
    weight: int | None
    versions: tuple[str, str]
    """The new one and the old one; empty where it isn't known."""
    looks: tuple[int, ...]
    """The numbers of the looks that are shown."""
    panels: tuple[Panel, ...]
    verdict: str
    """Empty while there is none."""
    reason: str


def pictures_of(release_id: str, shape: Shape, events: Sequence[Event]) -> Iterator[Picture]:
    """Yield the picture of each step's analysis, in the order of their beginnings."""
    kinds = (Kind.ANALYSIS_MEASURED, Kind.ANALYSIS_FINISHED)
    steps = dict.fromkeys(e.step for e in events if e.kind in kinds and e.step)
    for step in steps:
        if found := picture_of(release_id, shape, events, step):
            yield found


def picture_of(release_id: str, shape: Shape, events: Sequence[Event], step: str) -> Picture | None:
    """Return the picture of a step's analysis; None when nothing was measured there.

    Of a step that was tried several times it shows the last try, but of two versions side by side all: there
    the tries are one comparison.
    """
    own = [e for e in events if e.step == step]
    looks = [e for e in own if e.kind is Kind.ANALYSIS_MEASURED]
    if not looks:
        return None
    name = str(looks[-1].data.get("analysis", ""))
    plan = next((a for a in shape.analyses if a.name == name), None)
    if plan is None:
        return None
    if not plan.compares:
        last = looks[-1].key.rpartition(":")[0]
        looks = [e for e in looks if e.key.rpartition(":")[0] == last]
    ended = next((e.data for e in reversed(own) if e.kind is Kind.ANALYSIS_FINISHED), {})
    shown = _thinned(sorted(looks, key=lambda e: (_number(e.data.get("look")) or 0, e.id)))
    names = dict.fromkeys(str(m.get("name")) for e in shown for m in _metrics(e))
    return Picture(
        release_id=release_id,
        step=step,
        analysis=name,
        judge=plan.judge,
        weight=_whole(looks[-1].data.get("weight")),
        versions=_versions(events, step),
        looks=tuple(_whole(e.data.get("look")) or 0 for e in shown),
        panels=tuple(_panel(plan, metric, [_of(e, metric) for e in shown]) for metric in names),
        verdict=str(ended.get("verdict") or ""),
        reason=str(ended.get("reason") or ""),
    )


def _thinned(looks: list[Event]) -> list[Event]:
    every = math.ceil(len(looks) / MOST_POINTS)
    return [e for n, e in enumerate(looks) if n in (0, len(looks) - 1) or n % every == 0]


def _versions(events: Sequence[Event], step: str) -> tuple[str, str]:
    change = next((e.data for e in events if e.step == step and e.kind is Kind.CHANGE_STARTED), None)
    built = next((e.data for e in reversed(events) if e.kind is Kind.ARTIFACT_BUILT), {})
    arms = (built.get("revision"), (change or {}).get("previous"))
    found = [str(arm.get("version") or "") if isinstance(arm, Mapping) else "" for arm in arms]
    return found[0], found[1]


def _metrics(event: Event) -> Iterator[Mapping[str, Any]]:
    found = event.data.get("metrics")
    return (m for m in (found if isinstance(found, list) else ()) if isinstance(m, Mapping))


def _of(event: Event, name: str) -> Mapping[str, Any]:
    return next((m for m in _metrics(event) if m.get("name") == name), {})


def _panel(plan: AnalysisPlan, name: str, seen: Sequence[Mapping[str, Any]]) -> Panel:
    unit = ""
    lines: tuple[Line, ...]
    band: tuple[tuple[float, float] | None, ...] = ()
    if plan.comparison is not None:
        unit = "%"
        lines, band = _compared(plan.comparison, name, seen)
    elif plan.sampled is not None:
        arms = (("new", "new", "experiment"), ("old", _beside(seen), "control"))
        lines = tuple(
            Line(name=named, role=role, points=tuple(_number(m.get(arm)) for m in seen))
            for role, named, arm in arms
        )
    elif plan.budget is not None:
        unit, lines = "times", _burned(plan.budget, name, seen)
    else:
        metric = next((m for m in plan.metrics if m.name == name), None)
        unit, lines = metric.unit if metric else "", _limited(metric, seen)
    last = seen[-1] if seen else {}
    return Panel(
        metric=name,
        unit=unit,
        lines=lines,
        band=band,
        verdict=str(last.get("verdict") or ""),
        reason=str(last.get("reason") or ""),
    )


def _limited(metric: MetricPlan | None, seen: Sequence[Mapping[str, Any]]) -> tuple[Line, ...]:
    values = Line(name="new", role="new", points=tuple(_number(m.get("value")) for m in seen))
    limits = [("at most", metric.max), ("at least", metric.min)] if metric else []
    bounds = (_bound(f"{word} {limit:g}", limit, seen) for word, limit in limits if limit is not None)
    return (values, *bounds)


def _compared(
    plan: ComparisonPlan, name: str, seen: Sequence[Mapping[str, Any]]
) -> tuple[tuple[Line, ...], tuple[tuple[float, float] | None, ...]]:
    """Return bad shares in percent, and the band in which the ratio says that the new version's lies."""
    new, old = (tuple(_share(m.get(arm)) for m in seen) for arm in ("experiment", "control"))
    more, beside = 1 + plan.tolerance, _beside(seen)
    lines = [
        Line(name="new", role="new", points=new),
        Line(name=beside, role="old", points=old),
        Line(
            name=f"{beside} + {plan.tolerance:.0%}",
            role="bound",
            points=tuple(None if share is None else share * more for share in old),
        ),
    ]
    limit = next((m.max for m in plan.metrics if m.name == name), None)
    if limit is not None:
        lines.append(_bound(f"at most {100 * limit:.3g}", 100 * limit, seen))
    band = tuple(_ratio(m.get("interval"), share) for m, share in zip(seen, old, strict=True))
    return tuple(lines), band if any(band) else ()


def _beside(seen: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of what the new version was compared with."""
    return "baseline" if any(m.get("against") == FRESH for m in seen) else "old"


def _ratio(interval: Any, share: float | None) -> tuple[float, float] | None:
    if not isinstance(interval, list) or len(interval) != 2 or not share:
        return None
    low, high = _number(interval[0]), _number(interval[1])
    return (min(100.0, (low or 0) * share), min(100.0, high * share)) if high is not None else None


def _burned(plan: BudgetPlan, name: str, seen: Sequence[Mapping[str, Any]]) -> tuple[Line, ...]:
    """Return burn rates over the windows, the shortest as the foremost, and the limits of the pairs."""
    from relman_plugins.judge.burning import span

    budget = next((1 - m.objective for m in plan.metrics if m.name == name), None)
    lengths = sorted({length for w in plan.windows for length in (w.long_s, w.short_s)})
    lines = []
    for n, length in enumerate(lengths):
        windows = (m.get("windows") for m in seen)
        pairs = [w.get(str(length)) if isinstance(w, Mapping) else None for w in windows]
        shares = [_share(pair) for pair in pairs]
        points = tuple(None if s is None or not budget else s / 100 / budget for s in shares)
        lines.append(Line(name=f"over {span(length)}", role="old" if n else "new", points=points))
    for w in plan.windows:
        named = f"{w.severity} at {w.burn_rate:g} ({span(w.long_s)} and {span(w.short_s)})"
        lines.append(_bound(named, w.burn_rate, seen))
    return tuple(lines)


def _bound(name: str, value: float, seen: Sequence[Any]) -> Line:
    return Line(name=name, role="bound", points=(value,) * len(seen))


def _share(pair: Any) -> float | None:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return None
    bad, total = (_number(n) for n in pair)
    return 100 * bad / total if bad is not None and total else None


def _whole(value: Any) -> int | None:
    found = _number(value)
    return None if found is None else int(found)


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None
