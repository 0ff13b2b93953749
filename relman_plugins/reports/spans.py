"""Where the time of a release went: from events to segments of working and waiting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from relman_plugins.domain.event import Event, Kind
from relman_plugins.reports.model import Segment

WORKING, BETWEEN, HOLD = "working", "between", "hold"

ORDER = (WORKING, HOLD, "approval", "ticket", "window", "lock", "soak", "keep", "watch")
"""What counts when several things go on at once: working before any waiting, a person's hold first."""

_WHOLE = {"keep": "keep", "soak": "soak", "monitor": "watch"}
"""Kinds of steps that wait from their start to their end, and for what."""

_ENDS = (Kind.STEP_FINISHED, Kind.STEP_FAILED, Kind.STEP_REFUSED)


def step_segments(events: Sequence[Event], acquired: Sequence[Event], until: datetime) -> tuple[Segment, ...]:
    """Return what one step was at, without gaps, from its first start to its last end.

    ``events`` are the step's, oldest first; ``acquired`` the taking of locks in its environment; ``until``
    ends what has not ended yet. Between a try that broke and the next one the step counts as working.
    """
    starts = [e.at for e in events if e.kind is Kind.STEP_STARTED]
    if not starts:
        return ()
    start = starts[0]
    ends = [e.at for e in events if e.kind in _ENDS]
    running = not ends or starts[-1] > ends[-1]
    end = max(start, until if running else ends[-1])
    waits = [w for w in _waits(events, acquired, start, end) if w.end > w.start]
    return tuple(_filled(waits, start, end))


def _waits(
    events: Sequence[Event], acquired: Sequence[Event], start: datetime, end: datetime
) -> list[Segment]:
    kind = next((str(e.data.get("kind", "")) for e in events if e.kind is Kind.STEP_STARTED), "")
    if what := _WHOLE.get(kind):
        return [Segment(what=what, start=start, end=end)]
    waits = []
    if lock := next((e for e in acquired if start <= e.at <= end), None):
        waits.append(Segment(what="lock", start=start, end=lock.at))
    opened: dict[str, datetime] = {}
    for event in events:
        at = min(max(event.at, start), end)
        match event.kind:
            case Kind.GATE_OPENED:
                opened.setdefault("approval", at)
            case Kind.TICKET_WAITED:
                opened.setdefault("ticket", at)
            case Kind.WINDOW_WAITED:
                opened.setdefault("window", at)
            case Kind.CHANGE_STARTED if begun := opened.pop("window", None):
                waits.append(Segment(what="window", start=begun, end=at))
            case Kind.CHANGE_FINISHED if kind == "shift":
                opened.setdefault("watch", at)
            case Kind.GATE_DECIDED if begun := opened.pop("approval", None):
                waits.append(Segment(what="approval", start=begun, end=at))
            case Kind.ANALYSIS_FINISHED | Kind.TRAFFIC_WITHDRAWN if begun := opened.pop("watch", None):
                waits.append(Segment(what="watch", start=begun, end=at))
    # A shift without an analysis ends with its change: nothing was watched.
    measured = any(e.kind in (Kind.ANALYSIS_MEASURED, Kind.ANALYSIS_FINISHED) for e in events)
    waits += [
        Segment(what=what, start=at, end=end) for what, at in opened.items() if what != "watch" or measured
    ]
    return waits


def _filled(waits: list[Segment], start: datetime, end: datetime) -> Iterable[Segment]:
    at = start
    for wait in sorted(waits, key=lambda w: (w.start, w.end)):
        begin = max(wait.start, at)
        if wait.end <= begin:
            continue
        if begin > at:
            yield Segment(what=WORKING, start=at, end=begin)
        yield Segment(what=wait.what, start=begin, end=wait.end)
        at = wait.end
    if at < end or at == start:
        yield Segment(what=WORKING, start=at, end=end)


def holds(events: Sequence[Event], until: datetime) -> list[Segment]:
    """Return when the release was held."""
    found, since = [], None
    for event in events:
        if event.kind is Kind.RELEASE_HELD and since is None:
            since = event.at
        elif event.kind in (Kind.RELEASE_RESUMED, Kind.RELEASE_CLOSED) and since is not None:
            found.append(Segment(what=HOLD, start=since, end=max(since, event.at)))
            since = None
    return [*found, Segment(what=HOLD, start=since, end=max(since, until))] if since else found


def parts(segments: Iterable[Segment], start: datetime, end: datetime) -> dict[str, float]:
    """Return how the time from ``start`` to ``end`` is made up; the parts add up to the whole.

    At each instant one thing counts, the first of ``ORDER`` that goes on; ``between`` when nothing does.
    """
    clipped = [
        (max(s.start, start), min(s.end, end), s.what) for s in segments if s.end > start and s.start < end
    ]
    edges = sorted({start, end, *(t for s, e, _ in clipped for t in (s, e))})
    total: dict[str, float] = {}
    for left, right in pairwise(edges):
        going = {what for s, e, what in clipped if s <= left and e >= right}
        what = min(going, key=_rank) if going else BETWEEN
        total[what] = total.get(what, 0.0) + (right - left).total_seconds()
    return dict(sorted(total.items(), key=lambda item: _rank(item[0])))


def waited(total: dict[str, float]) -> float:
    """Return the waiting in ``parts``."""
    return sum(s for what, s in total.items() if what not in (WORKING, BETWEEN))


def _rank(what: str) -> int:
    return ORDER.index(what) if what in ORDER else len(ORDER)
