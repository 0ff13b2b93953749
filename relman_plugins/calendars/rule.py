"""Recurrence rules of RFC 5545 (section 3.3.10), read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from relman_plugins.errors import CalendarError

FREQUENCIES: Final = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

LONGEST = 2_000
"""Characters of a rule that are read."""
_LIMITS: Final = {
    "BYSECOND": (0, 59),
    "BYMINUTE": (0, 59),
    "BYHOUR": (0, 23),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYSETPOS": (-366, 366),
}
_DAY: Final = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNTIL: Final = re.compile(r"\d{8}(T\d{6}Z?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Empty parts say nothing; what they leave open comes from the start of the series."""

    freq: str
    interval: int = 1
    count: int | None = None
    until: datetime | date | None = None
    """Last moment or day that counts, without a zone; see ``until_utc``."""
    until_utc: bool = False
    """Whether ``until`` is in UTC rather than on the wall clock of the series."""
    seconds: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    days: tuple[tuple[int, int], ...] = ()
    """``(ordinal, weekday)``: ordinal 0 for every such day, weekday 0 for Monday."""
    month_days: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0
    """Weekday on which weeks begin; 0 is Monday."""

    @property
    def is_sub_daily(self) -> bool:
        """Whether it repeats within a day."""
        return FREQUENCIES.index(self.freq) > FREQUENCIES.index("DAILY")


def parse(text: str) -> Rule:
    """Read a rule, such as ``FREQ=MONTHLY;BYDAY=-1FR``, with or without ``RRULE:`` before it.

    Where the RFC forbids a part with a frequency, but its meaning is plain (``BYMONTHDAY`` with ``WEEKLY``),
    it limits, as in the libraries people know. What would silently mean something else is refused.

    Raises:
        CalendarError: it is none; the message says what is wrong with which part.
    """
    parts = dict(_parts(text))
    freq = parts.pop("FREQ", "")
    if freq not in FREQUENCIES:
        raise _wrong(text, f"FREQ must be one of {', '.join(FREQUENCIES)}")
    until, utc = _until(text, parts.pop("UNTIL", None))
    count = _number(text, "COUNT", parts.pop("COUNT")) if "COUNT" in parts else None
    if until is not None and count is not None:
        raise _wrong(text, "COUNT and UNTIL exclude each other")
    interval = _number(text, "INTERVAL", parts.pop("INTERVAL", "1"))
    week_start = parts.pop("WKST", "MO")
    if week_start not in DAYS:
        raise _wrong(text, f"WKST must be one of {', '.join(DAYS)}")
    days = _days(text, parts.pop("BYDAY", None))
    by = {name: _numbers(text, name, parts.pop(name, None)) for name in _LIMITS}
    if parts:
        raise _wrong(text, f"unknown part {next(iter(parts))[:40]}")
    if any(n for n, _ in days) and (freq not in ("YEARLY", "MONTHLY") or by["BYWEEKNO"]):
        raise _wrong(text, "a numbered BYDAY, such as 1MO, needs FREQ=MONTHLY or YEARLY, without BYWEEKNO")
    if by["BYSETPOS"] and not days and not any(v for k, v in by.items() if k != "BYSETPOS"):
        raise _wrong(text, "BYSETPOS picks from what another BY part gives; there is none")
    return Rule(
        freq=freq,
        interval=interval,
        count=count,
        until=until,
        until_utc=utc,
        seconds=by["BYSECOND"],
        minutes=by["BYMINUTE"],
        hours=by["BYHOUR"],
        days=days,
        month_days=by["BYMONTHDAY"],
        year_days=by["BYYEARDAY"],
        weeks=by["BYWEEKNO"],
        months=by["BYMONTH"],
        positions=by["BYSETPOS"],
        week_start=DAYS.index(week_start),
    )


def _parts(text: str) -> Iterator[tuple[str, str]]:
    if len(text) > LONGEST:
        raise CalendarError(f"a rule of {len(text):,} characters; at most {LONGEST:,} are read")
    seen: set[str] = set()
    body = text.strip().upper().removeprefix("RRULE:")
    for part in body.rstrip(";").split(";"):
        name, equals, value = part.strip().partition("=")
        if not equals or not value:
            raise _wrong(text, "expected parts such as FREQ=WEEKLY, with semicolons between them")
        if name in seen:
            raise _wrong(text, f"{name[:40]} is given twice")
        seen.add(name)
        yield name, value


def _number(text: str, name: str, value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 9 or int(value) < 1:
        raise _wrong(text, f"{name} must be a whole number from 1 to 999999999")
    return int(value)


def _numbers(text: str, name: str, value: str | None) -> tuple[int, ...]:
    if value is None:
        return ()
    low, high = _LIMITS[name]
    found: set[int] = set()
    for part in value.split(","):
        digits = part.removeprefix("-") if low < 0 else part
        digits = digits.removeprefix("+") if digits == part else digits
        number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 4 else 9999
        if name == "BYSECOND" and number == 60:
            number = 59  # the leap second, which clocks here don't have; RFC 5545 wants the second before
        number = -number if part.startswith("-") else number
        if not low <= number <= high or (low < 0 and number == 0):
            span = f"from {low} to {high}" + (", not 0" if low < 0 else "")
            raise _wrong(text, f"{name} must be whole numbers {span}")
        found.add(number)
    return tuple(sorted(found))


def _days(text: str, value: str | None) -> tuple[tuple[int, int], ...]:
    found: set[tuple[int, int]] = set()
    for part in value.split(",") if value is not None else ():
        match = _DAY.fullmatch(part)
        ordinal = int(match[1] or 0) if match else 99
        if match is None or abs(ordinal) > 53 or (match[1] and not ordinal):
            raise _wrong(text, "BYDAY must be days such as MO, 1MO or -1FR")
        found.add((ordinal, DAYS.index(match[2])))
    return tuple(sorted(found))


def _until(text: str, value: str | None) -> tuple[datetime | date | None, bool]:
    if value is None:
        return None, False
    try:
        if _UNTIL.fullmatch(value) is None:
            raise ValueError(value)
        if "T" not in value:
            return date(int(value[:4]), int(value[4:6]), int(value[6:])), False
        moment = datetime.strptime(value.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - see until_utc
    except ValueError:
        raise _wrong(
            text, "UNTIL must be a day such as 20261231, or a time such as 20261231T220000Z"
        ) from None
    return moment, value.endswith("Z")


def _wrong(text: str, why: str) -> CalendarError:
    shown = text.strip()
    shown = shown if len(shown) <= 120 else shown[:119] + "…"
    return CalendarError(f"rule {shown!r}: {why}")
