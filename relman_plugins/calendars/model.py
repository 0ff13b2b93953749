"""Calendars: windows that allow, windows that deny, and whom each is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from relman_plugins.calendars.cron import Cron
from relman_plugins.calendars.holidays import Holidays
from relman_plugins.calendars.series import Series, Span
from relman_plugins.calendars.weekly import Window, stretches
from relman_plugins.calendars.work import Work
from relman_plugins.calendars.zones import FIRST, LAST
from relman_plugins.domain.base import Frozen, digest_of

Action = Literal["deploy", "promote"]
"""What can be held up: any change of an environment, and one that comes after another environment's."""

Always = Literal["approve", "rollback", "abort"]
"""What nothing holds up: no window can name it. A vote changes nothing by itself, and the way back is always
open.
"""

NEAR = timedelta(days=16)
"""How far every window can be followed: a check sees to that."""
A_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""From where times without a beginning of their own are checked, the same on every day."""

StartedBy = Literal["person", "schedule"]


class Question(Frozen):
    """What somebody wants to do."""

    actions: tuple[Action | Always, ...] = ("deploy",)
    """All that it is: a change of a second environment is a deployment *and* a promotion."""
    started_by: StartedBy = "person"
    """Who started the release."""
    excepted: frozenset[str] = frozenset()
    """The closings, by their ids, that people have let it past."""


class Closing(Frozen):
    """One time at which a window denies, and which people may let a release past."""

    id: str
    """The same wherever it is asked, and of no other: a digest of calendar, window and time."""
    says: str
    """In words, as people are shown it."""
    start: datetime
    """UTC."""
    end: datetime
    """UTC, not included."""


class TimeWindow(Frozen):
    """Times, and what they are about. JSON can carry it: a plan has the windows that apply to its release."""

    effect: Literal["allow", "deny"]
    name: str = ""
    """What people call it."""
    weekly: Window | None = None
    series: tuple[Series, ...] = ()
    cron: Cron | None = None
    holidays: Holidays | None = None
    actions: tuple[Action, ...] = ()
    """Actions it is about; all if none is named."""
    started_by: StartedBy | None = None
    """Whose releases it is about; everybody's if None."""
    unless: Literal["", "approved"] = ""
    """Of one that denies: whether a release may go past it, once people have approved that."""

    def covers(self, question: Question) -> bool:
        """Say whether the window is about this."""
        named = not self.actions or bool(set(self.actions) & set(question.actions))
        return named and self.started_by in (None, question.started_by)

    def spans(self, since: datetime, until: datetime, work: Work) -> list[Span]:
        """Return the window's times that overlap with the time from ``since`` to ``until`` (aware), sorted.

        Raises:
            CalendarError: more work than allowed, or something in it can't be followed.
        """
        found = [span for series in self.series for span in series.spans(since, until, work)]
        for times in (self.cron, self.holidays):
            found += times.spans(since, until, work) if times is not None else []
        if self.weekly is not None:
            work.spend(max((until - since).days, 1))
            found += [Span(*stretch) for stretch in stretches(self.weekly, since, until)]
        return sorted(s for s in found if s.start < s.end and s.start < until and since < s.end)

    def but(
        self, calendar: str, excepted: Collection[str], since: datetime, until: datetime, work: Work
    ) -> list[Span]:
        """Return as :meth:`spans` those times that people have not let a release past.

        Raises:
            CalendarError: as of :meth:`spans`.
        """
        found = self.spans(since, until, work)
        if not excepted or not self.unless:
            return found
        named = zip(found, self.named(calendar, found), strict=True)
        return [span for span, id_ in named if id_ not in excepted]

    def named(self, calendar: str, spans: Iterable[Span]) -> Iterator[str]:
        """Yield the id of each of the window's times, as a closing of a calendar of that name."""
        mine = digest_of(self.model_dump(mode="json"))
        for span in spans:
            yield digest_of([calendar, mine, span.start.isoformat(), span.end.isoformat(), span.summary])

    def check(self, work: Work) -> None:
        """See whether the window's times can be followed at all: they happen, and not without measure.

        Raises:
            CalendarError: they can't; says why.
        """
        for times in (*self.series, self.cron, self.holidays):
            if times is not None:
                times.check(work)
        # What repeats without measure does so near its beginning: looked at as for an answer.
        begins = max((s.start.replace(tzinfo=UTC) for s in self.series), default=A_DAY)
        begins = min(max(begins, FIRST), LAST - NEAR)
        self.spans(begins, begins + NEAR, work)

    def __str__(self) -> str:
        """Name the window for people."""
        return self.name or str(self.weekly or self.effect)


class Calendar(Frozen):
    """Windows of one owner. Where several calendars apply, all of them must be open."""

    name: str
    windows: Annotated[tuple[TimeWindow, ...], Field(min_length=1)]
