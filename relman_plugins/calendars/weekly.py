"""Weekly windows: open or closed, until when, and why.

A window is open exactly while the clock on the wall in its zone shows a time inside it, opening included,
closing not. So on the day clocks go forward a window loses the times that never happen, and on the day they
go back it is open at both of the two equal times. Windows that touch or overlap are one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from relman_plugins.domain.base import Frozen

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_START = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_END = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"


def _known(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (OSError, KeyError) as error:
        raise ValueError(f"unknown time zone {zone!r}") from error
    return zone


class Window(Frozen):
    """A time of the week during which changes are allowed."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)]
    """Days on which the window opens, in its zone."""
    from_: Annotated[str, StringConstraints(pattern=_START)] = Field(alias="from")
    """Opening, ``HH:MM``."""
    to: Annotated[str, StringConstraints(pattern=_END)]
    """Closing, ``HH:MM`` up to ``24:00``; before ``from`` means on the next day."""
    zone: Annotated[str, AfterValidator(_known)]
    """IANA time zone."""

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if self.from_ == self.to:
            raise ValueError(f"a window that opens and closes at {self.to} is never open")
        return self

    @property
    def _past_midnight(self) -> bool:
        return self.to < self.from_

    def __str__(self) -> str:
        """Write the window for people: ``mon, tue 09:00-16:00 Europe/Berlin``."""
        return f"{', '.join(self.days)} {self.from_}-{self.to} {self.zone}"


class Answer(Frozen):
    """Whether changes are allowed at a moment, and what comes next. All times are UTC."""

    open: bool
    reasons: tuple[str, ...]
    """One sentence for each window that decides; why it is closed if none is open."""
    next_open: datetime | None = None
    """When it opens next; None while it is open, and when it never opens."""
    next_close: datetime | None = None
    """When it closes; None while it is closed, and when it never closes."""


class _Stretch(NamedTuple):
    start: datetime
    end: datetime


HORIZON = 16
"""Days looked ahead: a weekly window that is lost to a change of clocks opens within two weeks."""


def is_open(windows: Sequence[Window], at: datetime) -> bool:
    """Say whether changes are allowed at ``at`` (aware). Without any windows they always are."""
    at = utc(at)
    return not windows or any(_inside(window, at) for window in windows)


def next_change(windows: Sequence[Window], at: datetime) -> datetime | None:
    """Return when it opens or closes next after ``at`` (aware), in UTC; None if it never does."""
    at = utc(at)
    merged = _merged(windows, at)
    for stretch in merged:
        if at < stretch.start:
            return stretch.start
        if at < stretch.end:
            # Open to the end of everything that was looked at: it never closes.
            return stretch.end if stretch is not merged[-1] else None
    return None


def answer(windows: Sequence[Window], at: datetime) -> Answer:
    """Say whether changes are allowed at ``at`` (aware), why, and what comes next."""
    at = utc(at)
    if not windows:
        return Answer(open=True, reasons=("there are no windows: always open",))
    change = next_change(windows, at)
    inside = [w for w in windows if _inside(w, at)]
    if inside:
        until = f"until {stamp(change)}" if change is not None else "always"
        return Answer(open=True, reasons=tuple(f"inside {w}, {until}" for w in inside), next_close=change)
    when = f"opens {stamp(change)}" if change is not None else "never opens"
    return Answer(open=False, reasons=(*(f"outside {w}" for w in windows), when), next_open=change)


def stamp(at: datetime) -> str:
    """Write a moment for people."""
    return at.strftime("%a %Y-%m-%d %H:%M UTC")


def utc(at: datetime) -> datetime:
    """Return the moment in UTC; refuse one without a zone."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone says nothing about a window; pass an aware datetime")
    return at.astimezone(UTC)


def _merged(windows: Sequence[Window], at: datetime) -> list[_Stretch]:
    """Return the stretches around and after ``at``, in order, touching and overlapping ones joined."""
    merged: list[_Stretch] = []
    for stretch in sorted(s for w in windows for s in stretches(w, at, at + timedelta(days=HORIZON - 1))):
        if merged and stretch.start <= merged[-1].end:
            merged[-1] = _Stretch(merged[-1].start, max(merged[-1].end, stretch.end))
        else:
            merged.append(stretch)
    return merged


def _inside(window: Window, at: datetime) -> bool:
    wall = at.astimezone(ZoneInfo(window.zone))
    clock = f"{wall:%H:%M}"
    if window._past_midnight:
        yesterday = DAYS[wall.weekday() - 1]
        evening = clock >= window.from_ and DAYS[wall.weekday()] in window.days
        return evening or (clock < window.to and yesterday in window.days)
    return window.from_ <= clock < window.to and DAYS[wall.weekday()] in window.days


def stretches(window: Window, since: datetime, until: datetime) -> Iterator[_Stretch]:
    """Yield when the window is open, from two days before ``since`` to a day after ``until`` (aware)."""
    zone = ZoneInfo(window.zone)
    first = since.astimezone(zone).date() - timedelta(days=2)
    for offset in range((until - since).days + 4):
        day = first + timedelta(days=offset)
        if DAYS[day.weekday()] in window.days:
            overnight = window.to == "24:00" or window._past_midnight
            closing = day + timedelta(days=1) if overnight else day
            start = datetime.combine(day, time.fromisoformat(window.from_), UTC)
            end = datetime.combine(closing, time.fromisoformat(window.to.replace("24:", "00:")), UTC)
            yield from _in_utc(start, end, zone)


def _in_utc(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[_Stretch]:
    """Yield when the wall clock of ``zone`` shows ``start`` to ``end``: wall times marked as UTC."""
    margin = timedelta(hours=26)
    before, after = _offset(start - margin, zone), _offset(end + margin, zone)
    if before == after:
        yield _Stretch(start - before, end - before)
        return
    change = _change(start - margin, end + margin, zone)
    for stretch in (
        _Stretch(start - before, min(end - before, change)),
        _Stretch(max(start - after, change), end - after),
    ):
        if stretch.start < stretch.end:
            yield stretch


def _change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment between ``low`` and ``high`` at which the zone's clocks change."""
    before = _offset(low, zone)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if _offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
