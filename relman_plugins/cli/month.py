"""A time as months: which days are open, partly or not at all; and below what happens when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from relman_plugins.calendars.zones import to_utc

if TYPE_CHECKING:
    from relman_plugins.cli.calendars import View

_DAY = timedelta(days=1)
OPEN, PARTLY, CLOSED, RELEASE = " ", "~", "#", "*"


def lines(view: View, zone: ZoneInfo) -> Iterator[str]:
    """Yield the lines: a table for each month, then windows, freezes and planned releases."""
    first = view.since.astimezone(zone).date()
    last = (view.until - timedelta(seconds=1)).astimezone(zone).date()
    month = first.replace(day=1)
    while month <= last:
        yield f"{month:%B %Y}"
        yield " Mo   Tu   We   Th   Fr   Sa   Su"
        yield from _weeks(view, zone, month, first, last)
        yield ""
        month = (month + 32 * _DAY).replace(day=1)
    yield f"{CLOSED} closed  {PARTLY} partly open  {RELEASE} a planned release; days in {zone.key}"
    events = [
        (w.span, f"{'freeze' if w.effect == 'deny' else 'window'} {w.name}{_more(w.name, w.span.summary)}")
        for w in view.windows
    ]
    for span, text in events:
        yield f"{_at(span.start, zone)} – {_at(span.end, zone)}  {text}"
    for release in view.releases:
        yield f"{_at(release.at, zone)}  release of {release.pipeline} starts"


def _more(name: str, summary: str) -> str:
    return f": {summary}" if summary and summary != name else ""


def _at(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}"


def _weeks(view: View, zone: ZoneInfo, month: date, first: date, last: date) -> Iterator[str]:
    cells = ["     "] * month.weekday()
    day = month
    while day.month == month.month:
        mark = _mark(view, zone, day) if first <= day <= last else "  "
        cells.append(f"{day.day:>2}{mark} ")
        day += _DAY
    for start in range(0, len(cells), 7):
        yield (" " + "".join(cells[start : start + 7])).rstrip()


def _mark(view: View, zone: ZoneInfo, day: date) -> str:
    start = max(to_utc(datetime.combine(day, time()), zone), view.since)
    end = min(to_utc(datetime.combine(day + _DAY, time()), zone), view.until)
    shut = sum(
        (max(timedelta(), min(s.end, end) - max(s.start, start)) for s in view.closed), start=timedelta()
    )
    state = OPEN if not shut else CLOSED if shut == end - start else PARTLY
    return state + (RELEASE if any(start <= r.at < end for r in view.releases) else " ")
