"""Recorded looks of a release, judged again in the order of their numbers: the same for every judge.

A spool delivers late, so the ledger's order may be another. A number that is missing stays so. One that is
there twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Event
from relman_plugins.domain.status import Verdict


class Watched(Frozen):
    """What every judge remembers between looks."""

    rounds: int = 0
    """How many looks it rests on."""
    verdict: Verdict | None = None
    """Set once and for good when the watch has ended."""
    reason: str = ""


S = TypeVar("S", bound=Watched)


class Judgement(NamedTuple, Generic[S]):
    """What a look changed."""

    state: S
    verdict: Verdict | None
    """None: go on looking."""
    reason: str
    looks: tuple[Any, ...]
    """Each metric after the look; none when the watch had ended."""


def unchanged(state: S) -> Judgement[S]:
    """Return what a look says that changes nothing: the watch has ended, or knows that look already."""
    return Judgement(state, state.verdict, state.reason, ())


def looked(after: S, reason: str, looks: tuple[Any, ...]) -> Judgement[S]:
    """Return what a look came to; where it has no reason of its own, what is said of each metric is told."""
    told = reason or "; ".join(f"{look.came.name}: {look.reason}" for look in looks)
    return Judgement(after, after.verdict, told, looks)


def skipped(state: S, looks: int) -> S:
    """Leave out looks that are not recorded."""
    return state.model_copy(update={"rounds": state.rounds + looks})


def in_order(looks: Iterable[Event]) -> list[Event]:
    """Return looks by their numbers; of those with one number, the first that was recorded comes first."""
    return sorted(looks, key=lambda e: (e.data["look"], e.id))


def again(
    looks: Iterable[Event],
    state: S,
    judge: Callable[[S, Event], Judgement[S]],
    skip: Callable[[S, int], S] = skipped,
) -> Iterator[tuple[Event, Judgement[S]]]:
    """Yield each look with the judgement after it.

    Args:
        looks: Recorded looks of one watch.
        state: Before the first.
        judge: Adds a look.
        skip: Returns the state after so many looks that are not recorded.
    """
    for event in in_order(looks):
        missing = event.data["look"] - 1 - state.rounds
        if missing < 0:
            yield event, unchanged(state)
            continue
        judged = judge(skip(state, missing) if missing else state, event)
        state = judged.state
        yield event, judged


def resumed(
    looks: Iterable[Event],
    state: S,
    add: Callable[[S, Event], S],
    judge: Callable[[S, Event], Judgement[S]],
    skip: Callable[[S, int], S] = skipped,
) -> S:
    """Return the state after all looks, as :func:`again` does, but judge only the last of them.

    Whatever an earlier look said has ended the watch, or has not.

    Args:
        looks: Recorded looks of one watch.
        state: Before the first.
        add: Adds a look that is not judged.
        judge: Adds the last one.
        skip: Returns the state after so many looks that are not recorded.
    """
    counted = _once(looks)
    if not counted:
        return state
    *before, last = counted
    state = folded(before, state, add, skip)
    missing = last.data["look"] - 1 - state.rounds
    return judge(skip(state, missing) if missing else state, last).state


def folded(
    looks: Iterable[Event],
    state: S,
    add: Callable[[S, Event], S],
    skip: Callable[[S, int], S] = skipped,
) -> S:
    """Return the state after all looks, none of them judged; arguments as of :func:`resumed`."""
    for event in _once(looks):
        missing = event.data["look"] - 1 - state.rounds
        state = add(skip(state, missing) if missing else state, event)
    return state


def _once(looks: Iterable[Event]) -> list[Event]:
    """Return looks in order, of those with one number the first."""
    found: dict[int, Event] = {}
    for event in in_order(looks):
        found.setdefault(event.data["look"], event)
    return list(found.values())
