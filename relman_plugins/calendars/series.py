"""A series: something that happens once or again and again, as a calendar writes it down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, NamedTuple

from pydantic import Field

from relman_plugins.calendars.recur import occurrences
from relman_plugins.calendars.rule import Rule, parse
from relman_plugins.calendars.work import Work
from relman_plugins.calendars.zones import later, to_utc, wall_of, zone_of
from relman_plugins.domain.base import Frozen
from relman_plugins.errors import CalendarError

MARGIN = timedelta(hours=26)
"""How far the clocks of two zones, or of one zone in summer and winter, can be apart."""


class Span(NamedTuple):
    """One occurrence, in UTC: from ``start``, up to and without ``end``."""

    start: datetime
    end: datetime
    summary: str = ""


class Length(Frozen):
    """How long an occurrence takes: days on the wall clock, then seconds that really pass."""

    days: Annotated[int, Field(ge=0, le=36_600)] = 0
    seconds: Annotated[int, Field(ge=0, le=36_600 * 86_400)] = 0

    @property
    def about(self) -> timedelta:
        """The length where clocks aren't changed."""
        return timedelta(days=self.days, seconds=self.seconds)


class Extra(Frozen):
    """One more occurrence of a series (``RDATE``)."""

    start: datetime
    length: Length


class Series(Frozen):
    """A series on the wall clock of its zone. JSON can carry it: a plan has the series of its calendars.

    An occurrence may start at a time that clocks skip; then it starts as much later. How long it takes is
    RFC 5545's (3.8.2.2): what was given as an end lasts equally long each time, what was given as days ends
    at the same time of day.
    """

    start: datetime
    """Where it begins, naive."""
    zone: str
    length: Length
    rules: tuple[str, ...] = ()
    """Rules of RFC 5545; what any of them gives is part of it."""
    with_start: bool = True
    """Whether the start happens even if no rule says so, as in a calendar's file."""
    all_day: bool = False
    """Whether it is given in days, not in times."""
    also: tuple[Extra, ...] = ()
    but: tuple[datetime, ...] = ()
    """Starts that are left out, in UTC."""
    but_days: tuple[date, ...] = ()
    """Days in the zone on which nothing starts."""
    summary: str = ""

    def spans(self, since: datetime, until: datetime, work: Work) -> list[Span]:
        """Return the occurrences that overlap with the time from ``since`` to ``until`` (aware), sorted.

        Raises:
            CalendarError: more work than allowed, or a rule or zone that is none.
        """
        zone = zone_of(self.zone)
        but, but_days = frozenset(self.but), frozenset(self.but_days)
        found: dict[datetime, Span] = {}
        for wall, length in self._walls(wall_of(since, zone), wall_of(until, zone), work):
            start = to_utc(wall, zone)
            end = to_utc(later(wall, timedelta(days=length.days)), zone) + timedelta(seconds=length.seconds)
            left_out = start in but or wall.date() in but_days
            overlaps = start < until and (since < end or since == start == end)
            if overlaps and not left_out:
                found.setdefault(start, Span(start, end, self.summary))
        return sorted(found.values())

    def _walls(self, since: datetime, until: datetime, work: Work) -> Iterator[tuple[datetime, Length]]:
        """Yield where occurrences start that may overlap, naive, and how long each takes."""
        for extra in self.also:
            work.spend()
            yield extra.start, extra.length
        if self.with_start:
            yield self.start, self.length
        since = later(since, -self.length.about - MARGIN)
        until = later(until, MARGIN)
        for rule in self.parsed():
            for wall in occurrences(rule, self.start, since, work, until):
                if rule.until_utc and self._is_past(wall, rule):
                    break
                yield wall, self.length

    def parsed(self) -> tuple[Rule, ...]:
        """Return the rules, read."""
        return _parsed(self.rules, self.start if self.with_start else None)

    def _is_past(self, wall: datetime, rule: Rule) -> bool:
        assert isinstance(rule.until, datetime)  # noqa: S101 - for the type checker: only those are in UTC
        if self.all_day:
            return wall.date() > rule.until.date()
        return to_utc(wall, zone_of(self.zone)) > rule.until.replace(tzinfo=UTC)

    def check(self, work: Work) -> None:
        """See whether the series can be followed at all.

        Raises:
            CalendarError: a zone or a rule is none, or a rule never happens, or takes more work than allowed.
        """
        zone_of(self.zone)
        for text in self.rules:
            rule = parse(text)
            if next(occurrences(rule, self.start, self.start, work), None) is None and rule.until is None:
                raise CalendarError(f"rule {text[:120]!r} never happens")


@lru_cache(maxsize=512)
def _parsed(rules: tuple[str, ...], first: datetime | None) -> tuple[Rule, ...]:
    """Read the rules. ``first`` is the start if it counts: RFC 5545 counts it even if the rule doesn't."""
    from dataclasses import replace

    found = []
    for rule in map(parse, rules):
        if first is not None and rule.count is not None:
            # Only whether the start is one: not when the first one is, which may take long.
            day = later(first, timedelta(days=1))
            begins = next(occurrences(rule, first, first, Work(), day), None)
            if begins != first:
                rule = replace(rule, count=rule.count - 1)
        found.append(rule)
    return tuple(found)
