"""How numbers are judged: terms that agree with each other, and watches long enough for their judge."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt
from statistics import NormalDist

from relman_plugins.domain.confidence import EARLY_SHARE, SUREST
from relman_plugins.spec.bundle import Bundle, Path_, entries, judge_of, number_at, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.budget import WORKBOOK
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.pipeline import Monitor
from relman_plugins.spec.models.samples import Sampled, Score
from relman_plugins.spec.models.strategy import Canary
from relman_plugins.spec.position import Node
from relman_plugins.spec.trail import finding, holder

WATCHES = (("strategy", "canary"), ("strategy", "blue_green"), ("monitor",), ("soak",))
CONFIDENCE: float = Sampled.model_fields["confidence"].default
COUNT: int = Canary.model_fields["count"].default
INTERVALS: dict[str, Duration] = {
    "monitor": Monitor.model_fields["interval"].default,
    "soak": Monitor.model_fields["interval"].default,
    "canary": Canary.model_fields["interval"].default,
    "blue_green": Canary.model_fields["interval"].default,
}


def terms(bundle: Bundle) -> Iterator[Diagnostic]:
    """Limits of a score and pairs of windows are in order, and weights are of one whole."""
    for path, analysis in entries(bundle.pipeline, "analyses"):
        if not analysis.children.keys() & {"thresholds", "group_weights", "windows"}:
            continue
        where = holder(bundle.pipeline, path)
        best, least = Score().pass_, Score().marginal
        limits = [number_at(analysis, "thresholds", key) for key in ("pass", "marginal")]
        passes, marginal = (
            given if given is not None else d for given, d in zip(limits, (best, least), strict=True)
        )
        if analysis.child("thresholds") is not None and marginal > passes:
            message = f"thresholds of {where}: marginal {marginal:g} is above pass {passes:g}"
            hint = "a score from marginal up to pass asks people"
            yield finding(bundle.pipeline, (*path, "thresholds"), "RM318", message, hint=hint)
        weights = [number_at(node) or 0 for _, node in entries(bundle.pipeline, *path, "group_weights")]
        if sum(weights) > 100:
            message = f"group_weights of {where} add up to {sum(weights):g}; they are percent of one score"
            yield finding(bundle.pipeline, (*path, "group_weights"), "RM318", message)
        for at, window in entries(bundle.pipeline, *path, "windows"):
            long, short = (_seconds(window, key) for key in ("long", "short"))
            if long is not None and short is not None and short >= long:
                message = f"the short window of {where} is not shorter than the long one: {Duration(short)}"
                hint = "the short one shows that it still goes on; a twelfth of the long one is usual"
                yield finding(bundle.pipeline, (*at, "short"), "RM318", message, hint=hint)


def lengths(bundle: Bundle) -> Iterator[Diagnostic]:
    """A watch is long enough for its judge to say anything, and not too long to be sure early."""
    found = {str(p[-1]): (p, analysis) for p, analysis in entries(bundle.pipeline, "analyses")}
    for path, stage in bundle.stages():
        for inner in WATCHES:
            name = text_at(stage, *inner, "analysis")
            if name not in found:
                continue
            place, analysis = found[name]
            judge = judge_of(analysis)
            if judge not in ("mann_whitney", "slo"):
                continue
            what = f"the {inner[-1]} of {holder(bundle.pipeline, path)}"
            looks, seconds = _length(stage, inner)
            if judge == "mann_whitney":
                confidence = number_at(analysis, "confidence")
                least = fewest(CONFIDENCE if confidence is None else confidence)
                if looks < least:
                    message = (
                        f"{what} looks {looks} times; at a confidence of "
                        f"{confidence or CONFIDENCE:g} fewer than {least} looks can't show anything"
                    )
                    hint = f"count: {least} or more; 20 see more"
                    yield finding(bundle.pipeline, (*path, *inner, "analysis"), "RM319", message, hint=hint)
                most = most_early(CONFIDENCE if confidence is None else confidence)
                early = analysis.child("early_fail")
                if early is not None and early.value is True and looks > max(most, least):
                    message = (
                        f"{what} looks {looks} times and may fail early; at a confidence of "
                        f"{confidence or CONFIDENCE:g} more than {most} looks would each have to be surer "
                        f"than {SUREST:.6g}"
                    )
                    hint = "take fewer looks, or remove early_fail:"
                    yield finding(bundle.pipeline, (*path, *inner, "analysis"), "RM319", message, hint=hint)
            if judge == "slo":
                shortest = _shortest(bundle, place)
                if shortest is not None and seconds < shortest:
                    message = (
                        f"{what} ends after {Duration(ceil(seconds))}, before any window of {name} is full "
                        f"({Duration(shortest)}): it could never pass"
                    )
                    hint = "watch for longer, or give the analysis shorter windows:"
                    yield finding(bundle.pipeline, (*path, *inner, "analysis"), "RM319", message, hint=hint)


def fewest(confidence: float) -> int:
    """Return the looks below which the interval of ``mann_whitney`` excludes nothing.

    Its lower end is a difference that is counted from the smallest; with so few there is none (the rank in
    ``judge/stats/shift.py``, for two samples of one size without ties).
    """
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2) if 0 < confidence < 1 else 0.0
    return next(
        (n for n in range(2, 200) if n * n / 2 - 0.5 > quantile * sqrt(n * n * (2 * n + 1) / 12)), 200
    )


def most_early(confidence: float) -> int:
    """Return the looks above which one before the last would have to be surer than anything may be.

    They share a tenth of the chance of a false alarm (``early_fail`` in ``judge/sampled.py``).
    """
    return 1 + int((1 - confidence) * EARLY_SHARE / (1 - SUREST) + 1e-6)


def _length(stage: Node, inner: tuple[str, ...]) -> tuple[int, float]:
    """Return how often, and for how many seconds, a stage's strategy or monitor looks."""
    interval = _seconds(stage.child(*inner), "interval") or INTERVALS[inner[-1]].seconds
    if inner in (("monitor",), ("soak",)):
        looks = max(1, ceil((_seconds(stage.child(*inner), "for") or 0) / interval))
    else:
        count = number_at(stage, *inner, "count")
        looks = COUNT if count is None else int(count)
    return looks, looks * interval


def _shortest(bundle: Bundle, path: Path_) -> int | None:
    """Return the seconds after which the first pair of windows may be judged."""
    windows = [w for _, w in entries(bundle.pipeline, *path, "windows")]
    if not windows:
        return min(w.short.seconds for w in WORKBOOK)
    return min((s for w in windows if (s := _seconds(w, "short")) is not None), default=None)


def _seconds(node: Node | None, key: str) -> int | None:
    text = text_at(node, key)
    try:
        return Duration.parse(text).seconds if text is not None else None
    except ValueError:
        return None


RULES = (terms, lengths)
