"""When a rule of RFC 5545 happens: on the wall clock, without a zone, from any moment on.

Written here rather than taken from dateutil, whose iterator can neither begin in the middle of a series nor
be stopped in one that never matches; the two agree on every case of ``tests/calendars``. Where the RFC leaves
a choice (weeks without a day, weeks at the turn of a year) this one makes dateutil's.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import MAXYEAR, date, datetime, time, timedelta

from relman_plugins.calendars.rule import Rule
from relman_plugins.calendars.work import Work

NEVER = datetime.max  # noqa: DTZ901 - on the wall clock, like all times here
_DAY_S = 86_400
_ONE = timedelta(days=1)
_UNIT_S = {"HOURLY": 3_600, "MINUTELY": 60, "SECONDLY": 1}


def occurrences(
    rule: Rule, start: datetime, since: datetime, work: Work, before: datetime = NEVER
) -> Iterator[datetime]:
    """Yield when the rule happens, in order, from ``since`` on and before ``before``.

    Args:
        rule: the rule. Its ``until`` is the caller's to apply where that is in UTC.
        start: where the series begins, naive: on the wall clock. It gives what the rule leaves open, and
            happens itself only if the rule says so.
        since: from when on, naive. A rule with a count is followed from its start all the same.
        work: is told of every day and time that is looked at.
        before: nothing from here on is looked for.

    Raises:
        CalendarError: more work than allowed.
    """
    full = completed(rule, start)
    since = max(start, since)
    begin, end = start if rule.count else since, before.date()
    found = (_within if full.is_sub_daily else _by_period)(full, start, begin, end, work)
    for number, moment in enumerate(m for m in found if m >= start):
        if moment >= before or (rule.count is not None and number >= rule.count):
            return
        if rule.until is not None and not rule.until_utc and _is_past(moment, rule.until):
            return
        if moment >= since:
            yield moment


def completed(rule: Rule, start: datetime) -> Rule:
    """Return the rule with everything said that it leaves to the start of the series."""
    if not (rule.weeks or rule.year_days or rule.month_days or rule.days):
        if rule.freq == "YEARLY":
            rule = replace(rule, months=rule.months or (start.month,), month_days=(start.day,))
        elif rule.freq == "MONTHLY":
            rule = replace(rule, month_days=(start.day,))
        elif rule.freq == "WEEKLY":
            rule = replace(rule, days=((0, start.weekday()),))
    hours = () if rule.freq in ("HOURLY", "MINUTELY", "SECONDLY") else (start.hour,)
    minutes = () if rule.freq in ("MINUTELY", "SECONDLY") else (start.minute,)
    seconds = () if rule.freq == "SECONDLY" else (start.second,)
    return replace(
        rule,
        hours=rule.hours or hours,
        minutes=rule.minutes or minutes,
        seconds=rule.seconds or seconds,
    )


def _is_past(moment: datetime, until: date) -> bool:
    return moment > until if isinstance(until, datetime) else moment.date() > until


def _by_period(rule: Rule, start: datetime, since: datetime, end: date, work: Work) -> Iterator[datetime]:
    times = [time(h, m, s) for h in rule.hours for m in rule.minutes for s in rule.seconds]
    for first, length in _periods(rule, start.date(), since.date(), work):
        if first > end:
            return
        days = [day for day in _span(first, length, work) if _happens_on(rule, day)]
        if rule.positions:
            every = ((d, t) for d in days for t in times)
            yield from _picked(rule, len(days) * len(times), every, work)
            continue
        for day in days:
            work.spend(len(times))
            yield from (datetime.combine(day, t) for t in times)


def _picked(rule: Rule, size: int, every: Iterable[tuple[date, time]], work: Work) -> Iterator[datetime]:
    """Yield what BYSETPOS picks of one period's moments."""
    work.spend(size)
    wanted = {p - 1 if p > 0 else size + p for p in rule.positions}
    for number, (day, at) in enumerate(every):
        if number in wanted:
            yield datetime.combine(day, at)


def _periods(rule: Rule, start: date, since: date, work: Work) -> Iterator[tuple[date, int]]:
    """Yield first day and number of days of each period in which the rule can happen."""
    if rule.freq == "YEARLY":
        year = _aligned(start.year, since.year, rule.interval)
        while year <= MAXYEAR:
            work.spend()
            months = rule.months if rule.months and not rule.positions else ()
            for month in months:
                yield date(year, month, 1), monthrange(year, month)[1]
            if not months:
                yield date(year, 1, 1), 366 if isleap(year) else 365
            year += rule.interval
    elif rule.freq == "MONTHLY":
        index = _aligned(start.year * 12 + start.month - 1, since.year * 12 + since.month - 1, rule.interval)
        while index < (MAXYEAR + 1) * 12:
            work.spend()
            year, month = divmod(index, 12)
            if not rule.months or month + 1 in rule.months:
                yield date(year, month + 1, 1), monthrange(year, month + 1)[1]
            index += rule.interval
    else:
        week = 7 if rule.freq == "WEEKLY" else 1
        begin = start.toordinal() - ((start.weekday() - rule.week_start) % 7 if week == 7 else 0)
        day = _aligned(begin, since.toordinal() - week + 1, week * rule.interval)
        while day <= date.max.toordinal():
            work.spend()
            # The first week of all may begin before the first day of all.
            yield date.fromordinal(max(day, 1)), week - max(1 - day, 0)
            day += week * rule.interval


def _aligned(start: int, since: int, step: int) -> int:
    """Return the first of ``start``, ``start + step``, … that is not before ``since``."""
    return start + max(0, -(-(since - start) // step)) * step


def _span(first: date, length: int, work: Work) -> Iterator[date]:
    work.spend(length)
    begin = first.toordinal()
    for ordinal in range(begin, min(begin + length, date.max.toordinal() + 1)):
        yield date.fromordinal(ordinal)


def _within(rule: Rule, start: datetime, since: datetime, end: date, work: Work) -> Iterator[datetime]:
    """Yield the moments of a rule that repeats within a day: day by day, and only on days that count."""
    unit = _UNIT_S[rule.freq]
    step = unit * rule.interval
    origin = start.toordinal() * _DAY_S + _second(start) // unit * unit
    earliest = since.toordinal() * _DAY_S + _second(since) // unit * unit
    day = since.toordinal()
    while day <= end.toordinal():
        work.spend()
        begin = day * _DAY_S
        if step > _DAY_S:
            # Not a day after the other: the next one that has a period at all.
            nearest = _aligned(origin, begin, step)
            day, begin = nearest // _DAY_S, nearest // _DAY_S * _DAY_S
            if day > end.toordinal():
                return
        today = date.fromordinal(day)
        if _happens_on(rule, today):
            first = _aligned(origin, max(begin, earliest), step) - begin
            for period in _period_starts(rule, first, step, work):
                times = _times(rule, period)
                work.spend(len(times))
                if rule.positions:
                    wanted = {p - 1 if p > 0 else len(times) + p for p in rule.positions}
                    times = [t for number, t in enumerate(times) if number in wanted]
                yield from (datetime.combine(today, t) for t in times)
        day += 1


def _period_starts(rule: Rule, first: int, step: int, work: Work) -> Iterator[int]:
    """Yield the seconds of the day at which a period starts that can have a moment in it."""
    if rule.freq == "HOURLY" or not (rule.hours or rule.minutes or rule.seconds):
        starts: Iterable[int] = range(first, _DAY_S, step)
    else:
        starts = (
            s
            for hour in rule.hours or range(24)
            for minute in rule.minutes or range(60)
            for s in _in_minute(rule, hour * 3_600 + minute * 60, first, step, work)
        )
    for second in starts:
        work.spend()
        if not rule.hours or second // 3_600 in rule.hours:
            yield second


def _in_minute(rule: Rule, minute: int, first: int, step: int, work: Work) -> Iterator[int]:
    work.spend()
    if rule.freq == "MINUTELY":
        if minute >= first and (minute - first) % step == 0:
            yield minute
        return
    begin = _aligned(first, minute, step)
    for second in range(begin, minute + 60, step):
        work.spend()
        if not rule.seconds or second - minute in rule.seconds:
            yield second


def _times(rule: Rule, second: int) -> list[time]:
    hour, minute = second // 3_600, second // 60 % 60
    if rule.freq == "HOURLY":
        return [time(hour, m, s) for m in rule.minutes for s in rule.seconds]
    if rule.freq == "MINUTELY":
        return [time(hour, minute, s) for s in rule.seconds]
    return [time(hour, minute, second % 60)]


def _second(moment: datetime) -> int:
    return moment.hour * 3_600 + moment.minute * 60 + moment.second


def _happens_on(rule: Rule, day: date) -> bool:
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days:
        last = monthrange(day.year, day.month)[1]
        if day.day not in rule.month_days and day.day - last - 1 not in rule.month_days:
            return False
    if rule.year_days:
        number, last = day.timetuple().tm_yday, 366 if isleap(day.year) else 365
        if number not in rule.year_days and number - last - 1 not in rule.year_days:
            return False
    if rule.weeks and not _is_in_week(rule, day):
        return False
    return not rule.days or any(_is_day(rule, day, ordinal, weekday) for ordinal, weekday in rule.days)


def _is_day(rule: Rule, day: date, ordinal: int, weekday: int) -> bool:
    if day.weekday() != weekday:
        return False
    if not ordinal:
        return True
    if rule.freq == "YEARLY" and not rule.months:
        number, last = day.timetuple().tm_yday, 366 if isleap(day.year) else 365
    else:
        number, last = day.day, monthrange(day.year, day.month)[1]
    return ordinal == (number + 6) // 7 if ordinal > 0 else -ordinal == (last - number) // 7 + 1


def _is_in_week(rule: Rule, day: date) -> bool:
    """Say whether the day is in one of the rule's weeks. Week 1 is the first with four days of its year."""
    year = day.year
    begin = _first_week(year, rule.week_start)
    if day.toordinal() < begin:
        year -= 1
    elif year < MAXYEAR and day.toordinal() >= _first_week(year + 1, rule.week_start):
        year += 1
    begin = _first_week(year, rule.week_start)
    number = (day.toordinal() - begin) // 7 + 1
    weeks = (_first_week(year + 1, rule.week_start) - begin) // 7
    return number in rule.weeks or number - weeks - 1 in rule.weeks


def _first_week(year: int, week_start: int) -> int:
    """Return the ordinal of the day on which week 1 of ``year`` begins; right beyond the last year, too."""
    before = year - 1
    new_year = before * 365 + before // 4 - before // 100 + before // 400 + 1
    offset = (new_year - 1 - week_start) % 7  # the first day of all was a Monday
    return new_year - offset + (7 if offset > 3 else 0)
