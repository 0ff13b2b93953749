"""How long the steps of earlier releases took, by what is on record of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from relman_plugins.domain.event import Event
from relman_plugins.plan.ends import BESIDES, ended
from relman_plugins.plan.model import Shape, Step, StepKind


def ready_at(step: Step, ended: Mapping[str, datetime], opened_at: datetime) -> datetime | None:
    """Return when everything that a step needs had ended; None while something has not."""
    if any(needed not in ended for needed in step.needs):
        return None
    return max((ended[needed] for needed in step.needs), default=opened_at)


def took(releases: Iterable[tuple[Shape, datetime, Sequence[Event]]]) -> dict[str, list[float]]:
    """Return how many seconds each step took, by its id, from its needs being met to its end.

    Not of windows: when the next one opens is known, and what earlier releases waited for theirs would be
    waited for once more.

    Args:
        releases: of each the shape of its plan, when it was opened, and its events, of the kinds ``ENDS``.
    """
    found: dict[str, list[float]] = {}
    for shape, opened_at, events in releases:
        ends = ended(shape, events)
        for step in shape.steps:
            begun = ready_at(step, ends, opened_at)
            counts = step.kind not in (*BESIDES, StepKind.WINDOW) and step.id in ends
            if counts and begun is not None:
                found.setdefault(step.id, []).append(max((ends[step.id] - begun).total_seconds(), 0.0))
    return found
