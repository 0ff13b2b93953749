"""What would another policy have said of releases that are over? Their recorded looks are judged by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from relman_plugins.domain.event import Event
from relman_plugins.evidence.verdicts import replayed_of
from relman_plugins.plan.model import AnalysisPlan, Shape

WENT_ON = "no verdict"
"""What a policy says that would have gone on looking when the recorded looks end."""

UNKNOWN = "can't be told"

_ASKED = ("query", "samples", "bad", "total", "over_s", "take")
"""What of a metric decides which numbers there are; all else is what is made of them."""


_WHEN = {"beside": "of the looks", "before": "before the change"}


class Tried(NamedTuple):
    """One analysis of one release, judged by both."""

    release_id: str
    step: str
    analysis: str
    weight: int | None
    looks: int
    recorded: str
    """The verdict it had."""
    given: str
    """The verdict that the new policy gives; ``no verdict``, or ``can't be told``."""
    reason: str

    @property
    def otherwise(self) -> bool:
        """Whether the new policy says something else."""
        return self.given not in (self.recorded, UNKNOWN)


def tried(
    release_id: str, shape: Shape, events: Sequence[Event], policy: Mapping[str, AnalysisPlan]
) -> Iterator[Tried]:
    """Judge each analysis of a release that the policy has, too; one without a verdict is left out.

    What was asked can't be asked again: an analysis with another judge, of another source or connection, with
    other queries or another time to compare with, or with a metric that was not looked at, can't be told.
    Looks end where the release's own policy ended them; how often it looks at most is the release's plan's.
    """
    untold = {a.name: _untold(a, policy[a.name]) for a in shape.analyses if a.name in policy}
    tellable = {name: policy[name] for name, why in untold.items() if not why}
    analyses = tuple(tellable.get(a.name, a) for a in shape.analyses)
    changed = shape.model_copy(update={"analyses": analyses})
    # Both have the same judges, so their watches are the same ones, in the same order.
    for one, again in zip(replayed_of(shape, events), replayed_of(changed, events), strict=True):
        if not (one.recorded and one.looks and one.analysis in policy):
            continue
        told = (release_id, one.step, one.analysis, one.weight, one.looks, one.recorded)
        if why := untold[one.analysis]:
            yield Tried(*told, UNKNOWN, why)
        else:
            yield Tried(*told, again.given or WENT_ON, again.reason)


def confusion(found: Sequence[Tried]) -> dict[str, dict[str, int]]:
    """Count how often each recorded verdict became each other one: ``{recorded: {given: count}}``."""
    table: dict[str, dict[str, int]] = {}
    for one in found:
        row = table.setdefault(one.recorded, {})
        row[one.given] = row.get(one.given, 0) + 1
    return table


def _untold(before: AnalysisPlan, after: AnalysisPlan) -> str:
    """Return why recorded looks say nothing about a policy; empty when they do."""
    if before.judge != after.judge:
        return f"was judged by {before.judge}, and {after.judge} asks for other numbers"
    if before.source != after.source:
        return f"was asked of {before.source}, and {after.source} may say something else"
    if before.connection != after.connection:
        return f"was asked behind {before.connection}, and {after.connection} may say something else"
    if before.sampled and after.sampled and before.sampled.against != after.sampled.against:
        return (
            f"was compared with the time {_WHEN[before.sampled.against]}, not {_WHEN[after.sampled.against]}"
        )
    asked = {m.name: m.model_dump() for m in (before.by_judge or before).metrics}
    for metric in (after.by_judge or after).metrics:
        if metric.name not in asked:
            return f"{metric.name} was not looked at"
        now = metric.model_dump()
        for key in _ASKED:
            if now.get(key) != asked[metric.name].get(key):
                return f"{metric.name} asks another {key.removesuffix('_s')}"
    if before.budget is not None and after.budget is not None:
        sides = (before.budget.windows, after.budget.windows)
        lengths = [{length for w in side for length in (w.long_s, w.short_s)} for side in sides]
        if lengths[1] - lengths[0]:
            return "a window of another length was not asked for"
    return ""


def data_of(one: Tried) -> dict[str, Any]:
    """Return a row as JSON."""
    return one._asdict() | {"otherwise": one.otherwise}
