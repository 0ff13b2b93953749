"""Open or closed, until when, and why: for any number of calendars.

A calendar is open when none of its windows denies and, if it has windows that allow, one of those does.
Changes are allowed while every calendar is open. So whoever adds a calendar can only take away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from relman_plugins.calendars import weekly
from relman_plugins.calendars.model import NEAR, Calendar, Closing, Question, TimeWindow
from relman_plugins.calendars.series import Span
from relman_plugins.calendars.weekly import Answer, stamp, utc
from relman_plugins.calendars.work import Work
from relman_plugins.calendars.zones import LAST
from relman_plugins.errors import CalendarError

HORIZONS = (timedelta(hours=2), NEAR, timedelta(days=400), timedelta(days=12 * 366))
"""How far is looked for the next change, one after the other. The last has a leap day in it, even around
the years without one that a century brings."""

SECOND = timedelta(seconds=1)

MOST_NAMED = 8
"""So many times of one window that deny at once are named, those that end last; of the others it is said how
many."""

ALWAYS = {
    "approve": "no calendar holds up a vote; what it allows waits by itself",
    "rollback": "no calendar holds up a rollback",
    "abort": "no calendar holds up an abort",
}


def answer(calendars: Sequence[Calendar], question: Question, at: datetime) -> Answer:
    """Say whether changes are allowed at ``at`` (aware), why, and what comes next.

    Raises:
        CalendarError: it can't be said, since a window repeats without measure or can't be followed.
    """
    at = utc(at)
    if always := [ALWAYS[action] for action in question.actions if action in ALWAYS]:
        return Answer(open=True, reasons=tuple(always))
    asked = list(_asked(calendars, question))
    if not asked:
        return Answer(open=True, reasons=("no window is about this: always open",))
    if (plain := _plain(asked)) is not None:
        return weekly.answer(plain, at)
    return _said(asked, question, at, *_closed(asked, question, at))


def _asked(calendars: Sequence[Calendar], question: Question) -> Iterator[Calendar]:
    for calendar in calendars:
        windows = tuple(window for window in calendar.windows if window.covers(question))
        if windows:
            yield Calendar(name=calendar.name, windows=windows)


def _plain(asked: list[Calendar]) -> list[weekly.Window] | None:
    """Return an environment's own weekly windows if there is nothing else: those have no far horizon."""
    if len(asked) > 1 or asked[0].name:
        return None
    return [window.weekly for window in asked[0].windows if window.weekly is not None]


def _closed(asked: list[Calendar], question: Question, at: datetime) -> tuple[list[Span], datetime]:
    """Return the closed times from ``at`` on, joined, and how far was looked."""
    found: tuple[list[Span], datetime] | None = None
    work = Work()
    for horizon in HORIZONS:
        until = min(at + horizon, LAST)
        try:
            closed = closed_times(asked, at, until, work, question.excepted)
        except CalendarError:
            if found is None:
                raise
            return found  # what is near is known; what is far takes more work than it is worth
        found = closed, until
        if _change(closed, at, until) is not None or until == LAST:
            return found
    assert found is not None  # noqa: S101 - for the type checker: there are horizons
    return found


def closed_for(
    calendars: Sequence[Calendar], question: Question, since: datetime, until: datetime
) -> list[Span]:
    """Return when what is asked about is closed, joined and in order, from ``since`` to ``until`` (aware).

    Raises:
        CalendarError: as of :func:`answer`.
    """
    asked = _asked(calendars, question)
    return closed_times(asked, utc(since), utc(until), Work(), question.excepted)


def closings(
    calendars: Sequence[Calendar], question: Question, since: datetime, until: datetime
) -> Iterator[Closing]:
    """Yield what denies within the time given (aware), and leaves room for exceptions: each time by itself.

    Raises:
        CalendarError: as of :func:`answer`.
    """
    since, until, work = utc(since), utc(until), Work()
    for calendar in _asked(calendars, question):
        for window in (w for w in calendar.windows if w.unless):
            spans = window.spans(since, until, work)
            for span, id_ in zip(spans, window.named(calendar.name, spans), strict=True):
                begins = f" from {stamp(span.start)}" if since < span.start else ""
                says = f"denied by {_called(window, span, calendar)}{begins} until {stamp(span.end)}"
                yield Closing(id=id_, says=says, start=span.start, end=span.end)


def closed_times(
    calendars: Iterable[Calendar],
    since: datetime,
    until: datetime,
    work: Work,
    excepted: Collection[str] = frozenset(),
) -> list[Span]:
    """Return when at least one of the calendars is closed, joined and in order, within the time given.

    Takes every window as it is: which are about a question is said before. ``excepted`` are the ids of
    closings that don't count.

    Raises:
        CalendarError: as of :func:`answer`.
    """
    closed: list[Span] = []
    for calendar in calendars:
        allows = [w for w in calendar.windows if w.effect == "allow"]
        for window in calendar.windows:
            if window.effect == "deny":
                closed += window.but(calendar.name, excepted, since, until, work)
        if allows:
            allowed = _joined(span for window in allows for span in window.spans(since, until, work))
            closed += _between(allowed, since, until)
    return [Span(max(s.start, since), min(s.end, until)) for s in _joined(closed)]


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(Span(span.start, span.end))
    return joined


def _between(allowed: list[Span], since: datetime, until: datetime) -> Iterator[Span]:
    for span in allowed:
        if since < span.start:
            yield Span(since, span.start)
        since = max(since, span.end)
    if since < until:
        yield Span(since, until)


def _change(closed: list[Span], at: datetime, until: datetime) -> datetime | None:
    """Return when it opens or closes next; None if that is not before ``until``."""
    if not closed:
        return None
    change = closed[0].end if closed[0].start <= at else closed[0].start
    return change if change < until else None


def _said(
    asked: list[Calendar], question: Question, at: datetime, closed: list[Span], until: datetime
) -> Answer:
    change = _change(closed, at, until)
    is_open = not closed or at < closed[0].start
    never = "as far as can be told" if until < min(at + HORIZONS[-1], LAST) else ""
    reasons = [reason for calendar in asked for reason in _reasons(calendar, question, at, Work())]
    if is_open:
        last = f"open until {stamp(change)}" if change else " ".join(filter(None, ("it stays open", never)))
        return Answer(open=True, reasons=(*(r for _, r in reasons), last), next_close=change)
    last = f"opens {stamp(change)}" if change else " ".join(filter(None, ("never opens", never)))
    return Answer(open=False, reasons=(*(r for good, r in reasons if not good), last), next_open=change)


def _reasons(calendar: Calendar, question: Question, at: datetime, work: Work) -> Iterator[tuple[bool, str]]:
    """Yield what each window that decides says: whether it is for a change, and a sentence."""
    of = _of(calendar)
    allows = [w for w in calendar.windows if w.effect == "allow"]
    inside = [w for w in allows if _active(w.spans(at, at + SECOND, work), at)]
    for window in calendar.windows:
        if window.effect == "deny":
            spans = _active(window.but(calendar.name, question.excepted, at, at + SECOND, work), at)
            for span in spans[:MOST_NAMED]:
                yield False, f"denied by {_called(window, span, calendar)} until {stamp(span.end)}"
            if len(spans) > MOST_NAMED:
                yield False, f"denied by {len(spans) - MOST_NAMED} more times of {window}{of}"
    for window in inside:
        yield True, f"inside {window}{of}"
    if not inside:
        yield from ((False, f"outside {window}{of}") for window in allows)


def _called(window: TimeWindow, span: Span, calendar: Calendar) -> str:
    """Name a time of a window for people."""
    what = f" ({span.summary})" if span.summary and span.summary != window.name else ""
    return f"{window}{what}{_of(calendar)}"


def _of(calendar: Calendar) -> str:
    return f" of calendar {calendar.name}" if calendar.name else ""


def _active(spans: Iterable[Span], at: datetime) -> list[Span]:
    """Return the spans that are under way, the one that ends last first."""
    return sorted((s for s in spans if s.start <= at < s.end), key=lambda span: span.end, reverse=True)
