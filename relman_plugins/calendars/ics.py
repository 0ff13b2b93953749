"""iCalendar files (RFC 5545): what happens in them, as series.

icalendar takes the lines apart; what they mean for a calendar of windows is said here. The file's own
definitions of time zones are not followed: a zone goes by its IANA name, or by the name Windows has for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from relman_plugins.calendars.series import Extra, Length, Series
from relman_plugins.calendars.work import MOST_STEPS, Work
from relman_plugins.calendars.zones import to_utc, wall_of, zone_of
from relman_plugins.errors import CalendarError

LARGEST = 1_000_000
"""Bytes of a file that are read."""
MOST_EVENTS = 2_000

_WANTED = frozenset(
    {
        *("BEGIN", "END", "UID", "SEQUENCE", "SUMMARY", "STATUS", "TRANSP", "X-WR-TIMEZONE"),
        *("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"),
    }
)
_LENGTH = re.compile(
    r"\+?P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?", re.ASCII
)
_TIME = re.compile(r"\d{8}T\d{6}Z?", re.ASCII)


class Feed(NamedTuple):
    """What a file says."""

    series: tuple[Series, ...]
    cancelled: int
    """Events that were called off; they are no part of ``series``."""
    transparent: int
    """Events that block no time, such as birthdays; no part of ``series`` unless they were asked for."""
    zone: str
    """Zone of times that name none, and of days."""


class _Line(NamedTuple):
    params: dict[str, Any]
    value: str


class _Moment(NamedTuple):
    """A point in time as it was written."""

    wall: datetime
    zone: str
    is_day: bool

    @property
    def utc(self) -> datetime:
        return to_utc(self.wall, zone_of(self.zone))

    def on(self, zone: str) -> datetime:
        """Return what the clock of another zone shows; a day is the same everywhere."""
        return self.wall if self.is_day or zone == self.zone else wall_of(self.utc, zone_of(zone))


@dataclass
class _Event:
    lines: dict[str, list[_Line]] = field(default_factory=dict)

    def one(self, name: str) -> _Line | None:
        found = self.lines.get(name)
        return found[0] if found else None

    def text(self, name: str) -> str:
        found = self.one(name)
        return found.value.strip() if found else ""

    @property
    def sequence(self) -> int:
        text = self.text("SEQUENCE")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


@lru_cache(maxsize=16)
def read(text: str, zone: str = "", *, fallback: str = "UTC", transparent: bool = False) -> Feed:
    """Read a file.

    Args:
        text: what is in it.
        zone: IANA zone of times that name none, and of days; by default the one the file gives itself
            (``X-WR-TIMEZONE``), else ``fallback``.
        fallback: IANA zone.
        transparent: whether events count that block no time.

    Raises:
        CalendarError: it is no calendar, or something in it can't be followed. Nothing is left out in
            silence: a freeze that was not understood must not look like an open window.
    """
    if len(text.encode()) > LARGEST:
        raise CalendarError(f"the calendar is larger than {LARGEST:,} bytes; leave out what is over")
    if len(re.findall(r"(?im)^BEGIN:VEVENT\s*$", text)) > MOST_EVENTS:
        raise CalendarError(f"the calendar has more than {MOST_EVENTS:,} events; leave out what is over")
    events, own_zone = _events(text)
    zone = zone or own_zone or fallback
    zone_of(zone)
    reader = _Reader(zone, transparent)
    for event in _newest(events):
        reader.take(event)
    return Feed(tuple(reader.series), reader.cancelled, reader.transparent, zone)


def _events(text: str) -> tuple[list[_Event], str]:
    from icalendar.parser import Contentlines

    events: list[_Event] = []
    open_: list[str] = []
    zone, began = "", False
    for line in Contentlines.from_ical(text):  # type: ignore[no-untyped-call]
        if re.split("[;:]", line, maxsplit=1)[0].upper() not in _WANTED:
            continue
        try:
            name, params, value = line.parts()
        except ValueError as error:
            raise CalendarError(f"not a line of a calendar: {str(line)[:80]!r}") from error
        name, value = name.upper(), str(value)
        if name == "BEGIN":
            open_.append(value.strip().upper())
            began = began or open_ == ["VCALENDAR"]
            if open_[-1] == "VEVENT":
                events.append(_Event())
        elif name == "END":
            if not open_ or open_.pop() != value.strip().upper():
                raise CalendarError(f"END:{value[:40]} ends nothing that was begun")
        elif open_ == ["VCALENDAR", "VEVENT"]:
            events[-1].lines.setdefault(name, []).append(_Line(dict(params), value))
        elif name == "X-WR-TIMEZONE":
            zone = value.strip()
    if not began or open_:
        raise CalendarError("not a whole calendar: expected BEGIN:VCALENDAR … END:VCALENDAR")
    return events, zone


def _newest(events: list[_Event]) -> list[_Event]:
    """Of several copies of one event keep the newest; of two equally new ones the later in the file."""
    kept: dict[object, _Event] = {}
    for number, event in enumerate(events):
        recurrence = event.one("RECURRENCE-ID")
        key = (event.text("UID") or number, recurrence.value if recurrence else "")
        if key not in kept or event.sequence >= kept[key].sequence:
            kept[key] = event
    masters = {e.text("UID") for e in kept.values() if e.text("UID") and e.one("RECURRENCE-ID") is None}
    # A series comes before the changes of its occurrences: those take them out of it.
    return sorted(
        kept.values(), key=lambda e: e.one("RECURRENCE-ID") is not None and e.text("UID") in masters
    )


class _Reader:
    def __init__(self, zone: str, transparent: bool) -> None:
        self.zone = zone
        self.wanted = transparent
        self.series: list[Series] = []
        self.cancelled = self.transparent = 0
        self.by_uid: dict[str, int] = {}
        self.gone: set[str] = set()
        # One event may take a third of a second, and a file has thousands.
        self.work = Work(10 * MOST_STEPS)

    def take(self, event: _Event) -> None:
        """Take one event in.

        Raises:
            CalendarError: it can't be followed; says which it is.
        """
        try:
            self._take(event)
        except CalendarError as error:
            name = event.text("SUMMARY") or event.text("UID") or "without a name"
            raise CalendarError(f"event {name[:60]!r}: {error}") from error

    def _take(self, event: _Event) -> None:
        uid, recurrence = event.text("UID"), event.one("RECURRENCE-ID")
        if recurrence is not None:
            if uid in self.gone:
                return
            self._leave_out(uid, recurrence)
        if event.text("STATUS").upper() == "CANCELLED":
            self.cancelled += 1
            self.gone |= {uid} if recurrence is None else set()
            return
        if event.text("TRANSP").upper() == "TRANSPARENT":
            self.transparent += 1
            if not self.wanted:
                return
        series = self._series(event)
        work = Work()
        series.check(work)
        self.work.spend(work.most - work.left)
        if recurrence is None and uid:
            self.by_uid[uid] = len(self.series)
        self.series.append(series)

    def _leave_out(self, uid: str, recurrence: _Line) -> None:
        if "RANGE" in recurrence.params:
            raise CalendarError(
                "a change of all occurrences from one on (RANGE) is not followed; split the series in two"
            )
        if uid not in self.by_uid:
            return
        place, moment = self.by_uid[uid], self._moment(recurrence)
        self.series[place] = _without(self.series[place], [moment])

    def _series(self, event: _Event) -> Series:
        begin = event.one("DTSTART")
        if begin is None:
            raise CalendarError("it has no DTSTART")
        if event.one("EXRULE"):
            raise CalendarError("EXRULE is no part of RFC 5545; write the exceptions as EXDATE")
        start = self._moment(begin)
        length = self._length(event, start)
        also = [e for line in event.lines.get("RDATE", ()) for e in self._extras(line, start, length)]
        series = Series(
            start=start.wall,
            zone=start.zone,
            length=length,
            rules=tuple(line.value for line in event.lines.get("RRULE", ())),
            all_day=start.is_day,
            also=tuple(also),
            summary=event.text("SUMMARY")[:200],
        )
        left_out = [
            self._moment(_Line(line.params, value))
            for line in event.lines.get("EXDATE", ())
            for value in line.value.split(",")
        ]
        return _without(series, left_out)

    def _length(self, event: _Event, start: _Moment) -> Length:
        end, duration = event.one("DTEND"), event.one("DURATION")
        if end is None and duration is None:
            return Length(days=1 if start.is_day else 0)
        if end is None:
            return _length(duration.value if duration else "")
        return _between(start, self._moment(end))

    def _extras(self, line: _Line, start: _Moment, length: Length) -> Iterator[Extra]:
        for value in line.value.split(","):
            begin, slash, end = value.partition("/")
            moment = self._moment(_Line({**line.params, "VALUE": ""} if slash else line.params, begin))
            if slash:
                length = (
                    _length(end) if "P" in end else _between(moment, self._moment(_Line(line.params, end)))
                )
            wall = moment.on(start.zone)
            if moment.is_day and not start.is_day:
                wall = datetime.combine(moment.wall, start.wall.time())
            yield Extra(start=wall, length=length)

    def _moment(self, line: _Line) -> _Moment:
        value = line.value.strip()
        try:
            if len(value) == 8:
                return _Moment(datetime.strptime(value, "%Y%m%d"), self.zone, True)  # noqa: DTZ007
            if _TIME.fullmatch(value) is None:
                raise ValueError(value)
            # A leap second, which clocks here don't have, is the second before.
            wall = datetime.strptime(re.sub("60(Z?)$", r"59\1", value)[:15], "%Y%m%dT%H%M%S")  # noqa: DTZ007
        except ValueError:
            raise CalendarError(f"{value[:40]!r} is no day and no time") from None
        if value.endswith("Z"):
            return _Moment(wall, "UTC", False)
        return _Moment(wall, _iana(str(line.params.get("TZID") or self.zone)), False)


def _without(series: Series, moments: list[_Moment]) -> Series:
    days = {m.wall.date() for m in moments if m.is_day or series.all_day}
    times = {m.utc for m in moments if not (m.is_day or series.all_day)}
    return series.model_copy(
        update={
            "but": tuple(sorted(times | set(series.but))),
            "but_days": tuple(sorted(days | set(series.but_days))),
        }
    )


def _between(start: _Moment, end: _Moment) -> Length:
    if start.is_day != end.is_day:
        raise CalendarError("its start and its end must both be days, or both be times")
    took = end.wall - start.wall if start.is_day else end.utc - start.utc
    if took < timedelta():
        raise CalendarError("it ends before it starts")
    return Length(days=took.days) if start.is_day else Length(seconds=int(took.total_seconds()))


def _length(text: str) -> Length:
    found = _LENGTH.fullmatch(text.strip().upper())
    if found is None or not any(found.groups()):
        raise CalendarError(f"{text[:40]!r} is no length of time such as PT1H30M or P1D")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return Length(days=weeks * 7 + days, seconds=hours * 3_600 + minutes * 60 + seconds)


@lru_cache(maxsize=256)
def _iana(name: str) -> str:
    """Return the IANA name of a zone, of which calendars also know Windows' and a vendor's path before it."""
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    name = name.strip().strip('"')
    parts = name.strip("/").split("/")
    for candidate in (name, WINDOWS_TO_OLSON.get(name, ""), *("/".join(parts[-n:]) for n in (3, 2))):
        try:
            if candidate:
                zone_of(candidate)
                return candidate
        except CalendarError:
            continue
    zone_of(name)
    return name
