"""Open or closed, until when, and why: for any number of calendars.

A calendar is open when none of its windows denies and, if it has windows that allow, one of those does.
Changes are allowed while every calendar is open. So whoever adds a calendar can only take away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from relman_plugins.calendars import weekly
from relman_plugins.calendars.model import NEAR, Calendar, Question, TimeWindow
from relman_plugins.calendars.series import Span
from relman_plugins.calendars.weekly import Answer, stamp, utc
from relman_plugins.calendars.work import Work
from relman_plugins.calendars.zones import LAST
from relman_plugins.errors import CalendarError

HORIZONS = (timedelta(hours=2), NEAR, timedelta(days=400), timedelta(days=12 * 366))
"""How far is looked for the next change, one after the other. The last has a leap day in it, even around
the years without one that a century brings."""

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
    return _said(asked, at, *_closed(asked, at))


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


def _closed(asked: list[Calendar], at: datetime) -> tuple[list[Span], datetime]:
    """Return the closed times from ``at`` on, joined, and how far was looked."""
    found: tuple[list[Span], datetime] | None = None
    work = Work()
    for horizon in HORIZONS:
        until = min(at + horizon, LAST)
        try:
            closed = list(closed_times(asked, at, until, work))
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
    return closed_times(_asked(calendars, question), utc(since), utc(until), Work())


def closed_times(calendars: Iterable[Calendar], since: datetime, until: datetime, work: Work) -> list[Span]:
    """Return when at least one of the calendars is closed, joined and in order, within the time given.

    Takes every window as it is: which are about a question is said before.

    Raises:
        CalendarError: as of :func:`answer`.
    """
    closed: list[Span] = []
    for calendar in calendars:
        allows = [w for w in calendar.windows if w.effect == "allow"]
        for window in calendar.windows:
            if window.effect == "deny":
                closed += window.spans(since, until, work)
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


def _said(asked: list[Calendar], at: datetime, closed: list[Span], until: datetime) -> Answer:
    change = _change(closed, at, until)
    is_open = not closed or at < closed[0].start
    never = "as far as can be told" if until < min(at + HORIZONS[-1], LAST) else ""
    reasons = [reason for calendar in asked for reason in _reasons(calendar, at, Work())]
    if is_open:
        last = f"open until {stamp(change)}" if change else " ".join(filter(None, ("it stays open", never)))
        return Answer(open=True, reasons=(*(r for _, r in reasons), last), next_close=change)
    last = f"opens {stamp(change)}" if change else " ".join(filter(None, ("never opens", never)))
    return Answer(open=False, reasons=(*(r for good, r in reasons if not good), last), next_open=change)


def _reasons(calendar: Calendar, at: datetime, work: Work) -> Iterator[tuple[bool, str]]:
    """Yield what each window that decides says: whether it is for a change, and a sentence."""
    of = f" of calendar {calendar.name}" if calendar.name else ""
    allows = [w for w in calendar.windows if w.effect == "allow"]
    inside = [w for w in allows if _active(w, at, work)]
    for window in calendar.windows:
        if window.effect == "deny" and (span := _active(window, at, work)):
            what = f" ({span.summary})" if span.summary and span.summary != window.name else ""
            yield False, f"denied by {window}{what}{of} until {stamp(span.end)}"
    for window in inside:
        yield True, f"inside {window}{of}"
    if not inside:
        yield from ((False, f"outside {window}{of}") for window in allows)


def _active(window: TimeWindow, at: datetime, work: Work) -> Span | None:
    spans = window.spans(at, at + timedelta(seconds=1), work)
    active = [span for span in spans if span.start <= at < span.end]
    return max(active, key=lambda span: span.end) if active else None
