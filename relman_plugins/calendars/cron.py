"""Windows that open by cron: an expression says when, a length how long."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from relman_plugins.calendars.series import MARGIN, Span
from relman_plugins.calendars.work import Work
from relman_plugins.calendars.zones import later, to_utc, wall_of, zone_of
from relman_plugins.domain.base import Frozen
from relman_plugins.errors import CalendarError

_FIELDS = re.compile(r"[0-9A-Za-z*,/#-]+( +[0-9A-Za-z*,/#-]+){4}", re.ASCII)
_STEP = 20
"""What one opening costs, in steps: croniter takes about as long as so many days of a rule."""
_CHANCE = re.compile(r"(^|[ ,])[HhRr](\W|$)")


class Cron(Frozen):
    """A cron expression of five fields on the wall clock of a zone, and how long each opening lasts.

    As for cron, where both a day of the month and a day of the week are given, either will do.
    """

    expression: str
    zone: str
    seconds: Annotated[int, Field(ge=1, le=366 * 86_400)]

    def spans(self, since: datetime, until: datetime, work: Work) -> list[Span]:
        """Return the openings that overlap with the time from ``since`` to ``until`` (aware), sorted.

        Raises:
            CalendarError: more work than allowed, or no such expression or zone.
        """
        from croniter import CroniterBadDateError

        zone, length = zone_of(self.zone), timedelta(seconds=self.seconds)
        end = later(wall_of(until, zone), MARGIN)
        # One second earlier: what is looked for comes after this, not at it.
        begin = later(wall_of(since, zone), -length - MARGIN - timedelta(seconds=1))
        found: set[Span] = set()
        try:
            openings = _croniter(self.expression, begin)
            while (wall := openings.get_next(datetime)) < end:
                work.spend(_STEP)
                start = to_utc(wall, zone)
                if start < until and since < start + length:
                    found.add(Span(start, start + length))
        except CroniterBadDateError:
            pass  # nothing more, as far as croniter looks: fifty years
        return sorted(found)

    def check(self, work: Work) -> None:
        """See whether the expression can be followed at all.

        Raises:
            CalendarError: it is none, or it never matches, or its zone is none.
        """
        from croniter import CroniterBadDateError

        zone_of(self.zone)
        work.spend(_STEP)
        try:
            _croniter(self.expression, datetime(2000, 1, 1)).get_next(datetime)  # noqa: DTZ001 - on the wall
        except CroniterBadDateError as error:
            raise CalendarError(f"cron {self.expression!r} never happens") from error


def _croniter(expression: str, start: datetime) -> Any:
    from croniter import CroniterError, croniter

    if _FIELDS.fullmatch(expression) is None or len(expression) > 200:
        raise CalendarError(
            f"{expression[:80]!r} is no cron expression of five fields, such as 0 18 * * MON-FRI: "
            "minute, hour, day of the month, month, day of the week"
        )
    if _CHANCE.search(expression):
        raise CalendarError(f"cron {expression!r}: H and R leave the time to chance; say it")
    try:
        return croniter(expression, start)
    except CroniterError as error:
        raise CalendarError(f"cron {expression!r}: {error}") from error
