"""A calendar as it is written → a calendar that can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from relman_plugins.calendars.cron import Cron
from relman_plugins.calendars.holidays import Holidays
from relman_plugins.calendars.model import Calendar, TimeWindow
from relman_plugins.calendars.series import Length, Series
from relman_plugins.calendars.weekly import Window
from relman_plugins.calendars.work import Work
from relman_plugins.calendars.zones import to_utc, zone_of
from relman_plugins.errors import CalendarError
from relman_plugins.spec.models import calendar as written

WAYS = ("weekly", "rule", "cron", "once", "ics", "holidays")
"""The ways in which a window can say its times."""
FOLDER = "calendars"
MOST_EVENTS = 500
LONGEST = timedelta(days=36_600)


def compiled(
    calendar: written.Calendar,
    events: Mapping[str, str],
    *,
    environment: str,
    pipeline: str,
    labels: Mapping[str, str],
) -> Calendar | None:
    """Return the calendar with the windows that are about this; None if none is.

    Args:
        calendar: the document.
        events: text of the iCalendar files that it names, by path relative to the folder of the pipelines.
        environment: where something is to be changed.
        pipeline: by whose release.
        labels: the pipeline's.

    Raises:
        CalendarError: a window's times can't be followed.
    """
    work = Work()
    windows = tuple(
        times(window, calendar.zone, events, work)
        for window in calendar.windows
        if environment in (window.environments or (environment,))
        and pipeline in (window.pipelines or (pipeline,))
        and all(labels.get(key) == value for key, value in window.labels.items())
    )
    return Calendar(name=calendar.metadata.name, windows=windows) if windows else None


def times(window: written.CalendarWindow, zone: str, events: Mapping[str, str], work: Work) -> TimeWindow:
    """Return one window; its shape is right.

    Raises:
        CalendarError: its times can't be followed.
    """
    zone = window.zone or zone
    made = TimeWindow.model_validate(
        {
            "effect": window.effect,
            "name": window.name,
            "actions": window.actions,
            "started_by": window.started_by,
            "unless": window.unless or "",
            **_given(window, zone, events),
        }
    )
    made.check(work)
    return made


def _given(window: written.CalendarWindow, zone: str, events: Mapping[str, str]) -> dict[str, object]:
    if window.weekly is not None:
        zone_of(zone)
        return {"weekly": Window.model_validate({**window.weekly.model_dump(by_alias=True), "zone": zone})}
    if window.rule is not None:
        rule = window.rule
        start, length = moment(rule.start), Length(seconds=rule.for_.seconds)
        one = Series(start=start, zone=zone, length=length, rules=(rule.repeat,), with_start=False)
        return {"series": (one,)}
    if window.cron is not None:
        return {"cron": Cron(expression=window.cron.at, zone=zone, seconds=window.cron.for_.seconds)}
    if window.once is not None:
        return {"series": (_once(window.once, zone),)}
    if window.holidays is not None:
        about = window.holidays
        return {"holidays": Holidays(country=about.country, subdivision=about.subdivision or "", zone=zone)}
    if window.ics is not None:
        from relman_plugins.calendars import ics

        text = events[f"{FOLDER}/{window.ics.file}"]
        series = ics.read(text, window.zone or "", fallback=zone, transparent=window.ics.transparent).series
        if len(series) > MOST_EVENTS:
            raise CalendarError(f"the file has {len(series)} events; at most {MOST_EVENTS} fit into a plan")
        return {"series": series}
    return {}


def _once(once: written.OnceTimes, zone: str) -> Series:
    start, end = moment(once.from_), moment(once.until)
    took = to_utc(end, zone_of(zone)) - to_utc(start, zone_of(zone))
    if took.total_seconds() <= 0:
        raise CalendarError(f"it ends at {once.until}, not after it begins at {once.from_}: it never happens")
    if took > LONGEST:
        raise CalendarError(f"it lasts from {once.from_} to {once.until}; at most {LONGEST.days:,} days")
    return Series(start=start, zone=zone, length=Length(seconds=int(took.total_seconds())))


def moment(text: str) -> datetime:
    """Read a day or a time, naive: on the wall clock.

    Raises:
        CalendarError: there is no such day or time.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise CalendarError(f"there is no {text}: {error}") from error
