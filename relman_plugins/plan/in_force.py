"""When the windows of a release are open by now: by its plan, until another calendar is on record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.plan import window_words
from relman_plugins.plan.ends import ended
from relman_plugins.plan.model import GATE_ARGS, Shape, Step, StepKind


def in_force(gate: Step, events: Iterable[Event]) -> dict[str, Any]:
    """Return the arguments of a window's step that say when it is open, by the release's events so far."""
    found = _times(gate)
    for event in events:
        if event.kind is Kind.CALENDAR_CHANGED and event.step == gate.id:
            found = {name: event.data[name] for name in GATE_ARGS if name in event.data}
    return found


def edited(before: Shape, now: Shape, events: Sequence[Event]) -> Iterator[tuple[Step, dict[str, Any], str]]:
    """Yield each window that a release still goes by and whose times are others now: the new ones, in words.

    Nothing if more than times has changed: then the release goes no further, whatever they are.

    Args:
        before: of the release's own plan.
        now: of its pipeline as it is specified now.
        events: the release's, of all kinds that :func:`in_force` and ``ended`` read.
    """
    if before.frame != now.frame:
        return
    ends = ended(before, events)
    for gate in (step for step in before.steps if step.kind is StepKind.WINDOW):
        if all(step.id in ends for step in before.steps if gate.id in (step.id, *step.gates)):
            continue
        was, is_ = in_force(gate, events), _times(now.step(gate.id))
        if was != is_:
            yield gate, is_, _said(was, is_)


def _times(gate: Step) -> dict[str, Any]:
    return {name: gate.args[name] for name in GATE_ARGS if name in gate.args}


def _said(was: dict[str, Any], now: dict[str, Any]) -> str:
    before, after = _lines(was), _lines(now)
    gone = [line for line in before if line not in after]
    new = [line for line in after if line not in before]
    parts = [f"{word}: {', '.join(lines)}" for word, lines in (("no more", gone), ("now", new)) if lines]
    return "; ".join(parts) or "the same times in another order"


def _lines(times: dict[str, Any]) -> list[str]:
    own = [window_words.weekly(window) for window in times.get("windows") or ()]
    return own + [line for calendar in times.get("calendars") or () for line in window_words.each(calendar)]
