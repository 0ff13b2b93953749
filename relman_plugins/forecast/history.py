"""How long the steps of earlier releases took, by what is on record of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from relman_plugins.domain.event import Event, Kind
from relman_plugins.plan.model import Shape, Step, StepKind

SKIPPED = (StepKind.ROLLBACK, StepKind.TEARDOWN, StepKind.CLOSE, StepKind.FOLLOW_UP)
"""Steps that no release has to wait for."""

ENDS = (Kind.STEP_FINISHED,)
"""The kinds of events that the history is made of."""


def ends_of(events: Iterable[Event]) -> dict[str, datetime]:
    """Return when each step had its end, the first one that is recorded."""
    found: dict[str, datetime] = {}
    for event in events:
        if event.kind is Kind.STEP_FINISHED and event.step:
            found.setdefault(event.step, event.at)
    return found


def ready_at(step: Step, ended: Mapping[str, datetime], opened_at: datetime) -> datetime | None:
    """Return when everything that a step needs had ended; None while something has not."""
    if any(needed not in ended for needed in step.needs):
        return None
    return max((ended[needed] for needed in step.needs), default=opened_at)


def took(releases: Iterable[tuple[Shape, datetime, Sequence[Event]]]) -> dict[str, list[float]]:
    """Return how many seconds each step took, by its id, from its needs being met to its end.

    Args:
        releases: of each the shape of its plan, when it was opened, and its events of the kinds ``ENDS``.
    """
    found: dict[str, list[float]] = {}
    for shape, opened_at, events in releases:
        ended = ends_of(events)
        for step in shape.steps:
            begun = ready_at(step, ended, opened_at)
            if step.kind not in SKIPPED and step.id in ended and begun is not None:
                found.setdefault(step.id, []).append(max((ended[step.id] - begun).total_seconds(), 0.0))
    return found
