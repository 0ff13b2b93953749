"""Public holidays of a country, from the library of that name (the extra ``relman[holidays]``)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated

from pydantic import Field, StringConstraints

from relman_plugins.calendars.series import MARGIN, Span
from relman_plugins.calendars.work import Work
from relman_plugins.calendars.zones import to_utc, wall_of, zone_of
from relman_plugins.domain.base import Frozen
from relman_plugins.errors import CalendarError

_DAY = timedelta(days=1)


class Holidays(Frozen):
    """The public holidays of a country, or of a part of it: whole days on the wall clock of a zone."""

    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    """ISO 3166-1, such as DE."""
    subdivision: Annotated[str, Field(max_length=10)] = ""
    """ISO 3166-2 without the country, such as BE; empty for what holds everywhere in it."""
    zone: str

    def spans(self, since: datetime, until: datetime, work: Work) -> list[Span]:
        """Return the holidays that overlap with the time from ``since`` to ``until`` (aware), sorted.

        Raises:
            CalendarError: the library is not installed, or knows no such country, or there is no such zone.
        """
        zone = zone_of(self.zone)
        first, last = wall_of(since - MARGIN, zone).date(), wall_of(until + MARGIN, zone).date()
        found = []
        for year in range(first.year, last.year + 1):
            work.spend(366)
            for day, name in _of_year(self.country, self.subdivision, year):
                midnight = datetime.combine(day, time())
                span = Span(to_utc(midnight, zone), to_utc(midnight + _DAY, zone), name)
                if span.start < until and since < span.end:
                    found.append(span)
        return sorted(found)

    def check(self, work: Work) -> None:
        """See whether these holidays are known.

        Raises:
            CalendarError: as of :meth:`spans`.
        """
        zone_of(self.zone)
        work.spend(366)
        _of_year(self.country, self.subdivision, 2026)


@lru_cache(maxsize=256)
def _of_year(country: str, subdivision: str, year: int) -> tuple[tuple[date, str], ...]:
    try:
        import holidays
    except ImportError as error:
        raise CalendarError(
            "public holidays need a library that is not installed; install relman[holidays]"
        ) from error
    known = holidays.list_supported_countries()
    if country not in known:
        raise CalendarError(f"no holidays are known of {country!r}; expected a country such as DE or US")
    if subdivision and subdivision not in known[country]:
        parts = ", ".join(known[country]) or "none"
        raise CalendarError(f"{country} has no part {subdivision!r} with holidays of its own; it has {parts}")
    languages = holidays.list_localized_countries().get(country, [])
    # Names are the same on every machine, whatever its language.
    language = next((name for name in languages if name.startswith("en")), None)
    days = holidays.country_holidays(country, subdiv=subdivision or None, years=year, language=language)
    return tuple(sorted((day, str(name)) for day, name in days.items()))
