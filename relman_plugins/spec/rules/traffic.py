"""Traffic: weights that go one way, analyses that can fail, windows of watching that watch."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.spec.bundle import Bundle, Path_, compares, entries, judge_of, number_at, text_at
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.models.blue_green import BlueGreen
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.pipeline import Monitor
from relman_plugins.spec.models.strategy import Canary
from relman_plugins.spec.position import Node
from relman_plugins.spec.trail import finding, holder
from relman_plugins.spec.words import quoted

LOOKS: dict[str, int] = {
    "canary": Canary.model_fields["count"].default,
    "blue_green": BlueGreen.model_fields["count"].default,
}
"""How many looks a strategy takes that does not say it."""
WATCHING = ("monitor", "soak")
"""What may watch after all traffic has moved."""
STEPWISE = ("canary", "blue_green", "rolling")
MONITOR_INTERVAL: Duration = Monitor.model_fields["interval"].default


def weights(bundle: Bundle) -> Iterator[Diagnostic]:
    """The weights of a canary increase and end at 100."""
    for path, _ in bundle.stages():
        steps = (*path, "strategy", "canary", "steps")
        last: int | float | None = None
        place: Path_ = ()
        for place, node in entries(bundle.pipeline, *steps):
            weight = number_at(node)
            if weight is None:
                break
            if last is not None and weight <= last:
                message = f"canary weights must increase: {node.text} follows {last}"
                where = holder(bundle.pipeline, path)
                hint = f"traffic in {where} only ever moves towards the new version; sort the steps"
                yield finding(bundle.pipeline, place, "RM301", message, hint=hint)
            last = weight
        else:
            if last is not None and last != 100:
                message = f"the last weight of a canary must be 100, got {last}"
                yield finding(bundle.pipeline, place, "RM302", message, hint="add 100 to the end of steps")


def blind(bundle: Bundle) -> Iterator[Diagnostic]:
    """A canary without an analysis moves traffic whatever happens."""
    for path, stage in bundle.stages():
        canary = stage.child("strategy", "canary")
        if canary is not None and isinstance(canary.value, dict) and "analysis" not in canary.value:
            message = (
                f"the canary of {holder(bundle.pipeline, path)} has no analysis: nothing stops a bad version"
            )
            hint, place = "add analysis: and name one of analyses:", (*path, "strategy", "canary")
            yield finding(bundle.pipeline, place, "RM303", message, key=True, hint=hint, severity="warning")


def ephemeral(bundle: Bundle) -> Iterator[Diagnostic]:
    """An ephemeral environment is empty at first, and a first deployment skips the steps of a strategy."""
    for path, stage in bundle.stages():
        document = bundle.environments.get(text_at(stage, "environment") or "")
        fresh = document is not None and document.root.value.get("ephemeral") is True
        for kind in STEPWISE if fresh else ():
            place = (*path, "strategy", kind)
            if stage.child("strategy", kind) is None:
                if text_at(stage, "strategy") != kind:
                    continue
                place = (*path, "strategy")
            message = (
                f"the {kind} of {holder(bundle.pipeline, path)} never runs: its environment is ephemeral"
            )
            hint = "a first deployment takes all traffic at once; use strategy: recreate"
            yield finding(bundle.pipeline, place, "RM304", message, key=True, hint=hint, severity="warning")


def watching(bundle: Bundle) -> Iterator[Diagnostic]:
    """A monitor, and a soak that is watched, takes at least one look."""
    for path, stage in bundle.stages():
        for key in WATCHING:
            length, interval = _seconds(stage, key, "for"), _seconds(stage, key, "interval")
            interval = interval if interval is not None else MONITOR_INTERVAL.seconds
            if length is not None and length < interval:
                message = (
                    f"the {key} of {holder(bundle.pipeline, path)} ends after {Duration(length)}, "
                    f"before its first look after {Duration(interval)}"
                )
                hint = "make interval: shorter than for:"
                yield finding(bundle.pipeline, (*path, key, "for"), "RM305", message, hint=hint)


def tolerance(bundle: Bundle) -> Iterator[Diagnostic]:
    """An analysis can fail: it tolerates fewer failures than a stage takes looks."""
    for path, stage in bundle.stages():
        for inner in (*(("strategy", kind) for kind in LOOKS), *((key,) for key in WATCHING)):
            name = text_at(stage, *inner, "analysis")
            if name is None:
                continue
            count = _looks(stage, inner)
            for metric_path, metric in entries(bundle.pipeline, "analyses", name, "metrics"):
                tolerated = number_at(metric, "tolerated_failures")
                if tolerated is not None and count and tolerated >= count:
                    what = f"the {inner[-1]} of {holder(bundle.pipeline, path)}"
                    metric_name = quoted(text_at(metric, "name") or "")
                    message = (
                        f"metric {metric_name} tolerates {tolerated} failures, but {what} looks {count} times"
                    )
                    place = (*metric_path, "tolerated_failures")
                    yield finding(
                        bundle.pipeline, place, "RM306", message, hint="as it is, it can never fail"
                    )


def _looks(stage: Node, watching: tuple[str, ...]) -> int | float:
    """Return how often a stage looks at what its strategy, its monitor or its soak watches."""
    if watching[0] in WATCHING:
        length, interval = (_seconds(stage, watching[0], key) for key in ("for", "interval"))
        return (length or 0) // (interval or MONITOR_INTERVAL.seconds)
    given = number_at(stage, *watching, "count")
    return LOOKS[watching[-1]] if given is None else given


def comparisons(bundle: Bundle) -> Iterator[Diagnostic]:
    """A comparison needs the old version: it has no traffic after a switch, or any more at 100 %."""
    found = {str(p[-1]): a for p, a in entries(bundle.pipeline, "analyses") if compares(a)}
    for path, stage in bundle.stages() if found else ():
        weights = [
            number_at(node) for _, node in entries(bundle.pipeline, *path, "strategy", "canary", "steps")
        ]
        places: dict[tuple[str, ...], str] = {
            **{(key,): "it watches when all traffic has moved" for key in WATCHING},
            ("strategy", "blue_green"): "all traffic moves at once",
        }
        if weights == [100]:
            places["strategy", "canary"] = "its only weight is 100"
        for inner, why in places.items():
            name = text_at(stage, *inner, "analysis")
            if name is None or name not in found:
                continue
            what = f"the {inner[-1]} of {holder(bundle.pipeline, path)}"
            message = f"{what} compares with the old version, which has no traffic then: {why}"
            hint = "name an analysis with judge: thresholds or slo"
            if judge_of(found[name]) == "mann_whitney":
                hint += ", or compare with the time before: against: before"
            if places.get(("strategy", "canary")) and inner[-1] == "canary":
                hint = "give it a smaller weight first, such as steps: [10, 50, 100]"
            yield finding(bundle.pipeline, (*path, *inner, "analysis"), "RM316", message, hint=hint)


def unwatched(bundle: Bundle) -> Iterator[Diagnostic]:
    """A comparison ends before all traffic has moved: nobody looks at the version then without a monitor."""
    for path, stage in bundle.stages():
        place = ("strategy", "canary", "analysis")
        name = text_at(stage, *place)
        analysis = bundle.pipeline.root.child("analyses", name) if name else None
        watched = any(stage.child(key, "analysis") is not None for key in WATCHING)
        if analysis is None or not compares(analysis) or watched:
            continue
        message = (
            f"the canary of {holder(bundle.pipeline, path)} compares with the old version, so nothing judges "
            "the new one at 100 %"
        )
        hint = "add monitor: with an analysis by limits, or judge: slo"
        yield finding(bundle.pipeline, (*path, *place), "RM320", message, hint=hint, severity="warning")


def background(bundle: Bundle) -> Iterator[Diagnostic]:
    """What a background analysis saw adds up over several weights."""
    for path, stage in bundle.stages():
        place = (*path, "strategy", "canary", "background")
        wanted = stage.child("strategy", "canary", "background")
        if wanted is None or wanted.value is not True:
            continue
        what = f"the background analysis of the canary of {holder(bundle.pipeline, path)}"
        name = text_at(stage, "strategy", "canary", "analysis")
        analysis = bundle.pipeline.root.child("analyses", name) if name else None
        if name is None or (analysis is not None and judge_of(analysis) != "sequential"):
            message = f"{what} has nothing that adds up from weight to weight"
            hint = "name an analysis with judge: sequential, or remove background:"
            yield finding(bundle.pipeline, place, "RM326", message, hint=hint)
        weights = [
            number_at(node) for _, node in entries(bundle.pipeline, *path, "strategy", "canary", "steps")
        ]
        if len([w for w in weights if w is not None and w < 100]) == 1:
            message = f"{what} compares at one weight only, so there is nothing to go on with"
            hint = "give it more weights below 100, or remove background:"
            yield finding(bundle.pipeline, place, "RM326", message, hint=hint, severity="warning")


def _seconds(stage: Node, watching: str, key: str) -> int | None:
    text = text_at(stage, watching, key)
    try:
        return Duration.parse(text).seconds if text is not None else None
    except ValueError:
        return None


RULES = (weights, blind, ephemeral, watching, tolerance, comparisons, unwatched, background)
