"""When trains depart: by cron, whenever an environment opens, or with events that nobody can foresee."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from relman_plugins.calendars.cron import Cron
from relman_plugins.calendars.gate import Gate
from relman_plugins.calendars.work import Work
from relman_plugins.calendars.zones import LAST
from relman_plugins.domain.base import Frozen
from relman_plugins.errors import CalendarError

_HORIZONS = (timedelta(days=1), timedelta(days=16), timedelta(days=400), timedelta(days=12 * 366))
_OPENINGS = 1_000
"""Changes of an environment that are looked at for one answer."""


class Departures(Frozen):
    """Times on the wall clock of a zone, the openings of a gate, or events. JSON can carry it."""

    cron: str = ""
    """Five fields; empty where a gate decides. A time that clocks skip comes later, one they repeat once."""
    zone: str = "UTC"
    gate: Gate | None = None
    """Departs at each opening of these windows and calendars, as they are for what a schedule starts."""

    assets: tuple[str, ...] = ()
    """Departs with each event of one of these Airflow assets: no departure is in sight before it is there."""

    def after(self, at: datetime) -> datetime | None:
        """Return the first departure after ``at`` (aware), in UTC; None if there is none in sight.

        Raises:
            CalendarError: it can't be said, since something in it can't be followed.
        """
        if self.assets:
            return None
        at = at.astimezone(UTC)
        return self._opening(self.gate, at) if self.gate is not None else self._time(at)

    def before(self, now: datetime, since: datetime) -> datetime | None:
        """Return the last departure after ``since`` and not after ``now`` (both aware); None if none is.

        Raises:
            CalendarError: as of :meth:`after`.
        """
        last, found = None, self.after(since)
        while found is not None and found <= now:
            last, found = found, self.after(found)
        return last

    def within(self, since: datetime, until: datetime, most: int | None = None) -> list[datetime]:
        """Return the departures from ``since`` to before ``until`` (both aware), the first ``most`` of them.

        Raises:
            CalendarError: as of :meth:`after`, and for more work than one answer may take.
        """
        if self.assets:
            return []
        if self.gate is None:
            times = Cron(expression=self.cron, zone=self.zone, seconds=1).spans(since, until, Work())
            return [span.start for span in times if span.start >= since][:most]
        found: list[datetime] = []
        at = self.after(since - timedelta(seconds=1))
        while at is not None and at < until and len(found) != most:
            found.append(at)
            at = self.after(at)
        return found

    def _time(self, at: datetime) -> datetime | None:
        just_after = at + timedelta(microseconds=1)
        for horizon in _HORIZONS:
            if found := self.within(just_after, min(at + horizon, LAST)):
                return found[0]
        return None

    @staticmethod
    def _opening(gate: Gate, at: datetime) -> datetime | None:
        said = gate.answer(at, "schedule")
        for _ in range(_OPENINGS):
            if not said.open:
                return said.next_open
            if said.next_close is None:
                return None
            said = gate.answer(said.next_close, "schedule")
            # Two calendars may change at one moment: what closes there may be open again.
        raise CalendarError("it opens too often to be followed")
