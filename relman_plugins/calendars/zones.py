"""From the clock on a wall to UTC, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from relman_plugins.errors import CalendarError

FIRST = datetime(1, 1, 3, tzinfo=UTC)
LAST = datetime(9999, 12, 29, tzinfo=UTC)
"""Between these every zone can tell its time."""


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Return the IANA time zone.

    Raises:
        CalendarError: there is none of that name; ``localtime`` is none, since each machine has another.
    """
    try:
        # Not whatever file lies there: only what is listed is a zone.
        if name == "localtime" or name not in available_timezones():
            raise KeyError(name)
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise CalendarError(
            f"unknown time zone {name[:60]!r}; expected an IANA name such as Europe/Berlin"
        ) from (error)


def to_utc(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment at which the wall clock shows ``wall`` (naive).

    Of two, the first. A time that clocks skip is taken by the offset before the change, as RFC 5545 3.3.5
    wants: 02:30 in the night to summer time is 03:30.
    """
    try:
        return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    except OverflowError:
        return FIRST if wall.year == 1 else LAST


def wall_of(at: datetime, zone: ZoneInfo) -> datetime:
    """Return what the wall clock shows at ``at`` (aware), naive."""
    at = min(max(at.astimezone(UTC), FIRST), LAST)
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def later(wall: datetime, length: timedelta) -> datetime:
    """Return ``wall + length``, within the calendar."""
    try:
        return wall + length
    except OverflowError:
        return datetime.min if length < timedelta() else datetime.max  # noqa: DTZ901 - on the wall clock
