"""The calendar document: when changes are allowed, and when not, for everybody who names it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from relman_plugins.spec.models.base import ApiVersion, Flag, Line, Metadata, Name, SpecModel
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.window import Days, End, Start, Zone

MOMENT_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$"
COUNTRY_PATTERN = r"^[A-Z]{2}$"
ICS_PATTERN = r"^([^./~\x00][^/\x00]*/)*[^./~\x00][^/\x00]*\.ics$"
SUBDIVISION_PATTERN = r"^[A-Z0-9]{1,10}$"

Moment = Annotated[str, StringConstraints(pattern=MOMENT_PATTERN)]
"""``2026-12-18T18:00``, or a day, which stands for its midnight; in the window's zone."""

ACTIONS = ("deploy", "promote")
Action = Annotated[
    str, StringConstraints(min_length=1, max_length=20), Field(json_schema_extra={"enum": list(ACTIONS)})
]

LabelKey = Name
LabelValue = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\n\r]*$")]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=20)]


class WeeklyTimes(SpecModel):
    """Times of the week."""

    days: Days
    """The days on which the window begins."""
    from_: Start = Field(alias="from")
    """Beginning, `HH:MM`."""
    to: End
    """End, `HH:MM` up to `24:00`; earlier than `from` means on the next day."""


class RuleTimes(SpecModel):
    """Times by a rule of RFC 5545."""

    repeat: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    """The rule, such as `FREQ=MONTHLY;BYDAY=-1FR`."""
    start: Moment
    """Where the rule begins. It gives the time of day, and happens itself only if the rule says so."""
    for_: Duration = Field(alias="for")
    """How long each time lasts."""


class CronTimes(SpecModel):
    """Times by a cron expression."""

    at: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Five fields: minute, hour, day of the month, month, day of the week. `0 18 * * MON-FRI`."""
    for_: Duration = Field(alias="for")
    """How long each time lasts."""


class OnceTimes(SpecModel):
    """One time only."""

    from_: Moment = Field(alias="from")
    """Beginning: `2026-12-18T18:00`, or a day, which begins at its midnight."""
    until: Moment
    """End, not included: `2027-01-04` ends with 3 January."""


class FileTimes(SpecModel):
    """Times from an iCalendar file (RFC 5545)."""

    file: Annotated[str, StringConstraints(max_length=300, pattern=ICS_PATTERN)]
    """The file, relative to the folder `calendars`."""
    transparent: Flag = False
    """Whether events count that block no time, as in most public feeds of holidays."""


class HolidayTimes(SpecModel):
    """The public holidays of a country, whole days. Needs the extra `relman[holidays]`."""

    country: Annotated[str, StringConstraints(pattern=COUNTRY_PATTERN)]
    """ISO 3166-1, such as `DE`."""
    subdivision: Annotated[str, StringConstraints(pattern=SUBDIVISION_PATTERN)] | None = None
    """ISO 3166-2 without the country, such as `BE`; without it what holds in all of the country."""


class CalendarWindow(SpecModel):
    """Times, and what they are about. Exactly one of `weekly`, `rule`, `cron`, `once`, `ics`, `holidays`."""

    name: Line
    """What people call it: shown wherever a release waits for it."""
    effect: Literal["allow", "deny"]
    """`allow`: changes only within these times. `deny`: none within them; outranks `allow`."""
    unless: Literal["approved"] | None = None
    """Of `deny`: a release may go past it, once those approve whom its environment's `exceptions` names."""
    weekly: WeeklyTimes | None = None
    """Times of the week."""
    rule: RuleTimes | None = None
    """Times by a rule of RFC 5545."""
    cron: CronTimes | None = None
    """Times by a cron expression."""
    once: OnceTimes | None = None
    """One time only."""
    ics: FileTimes | None = None
    """Times from an iCalendar file."""
    holidays: HolidayTimes | None = None
    """The public holidays of a country."""
    zone: Zone | None = None
    """IANA time zone; the calendar's unless given."""
    actions: Annotated[tuple[Action, ...], Field(max_length=10)] = ()
    """`deploy`: any change of an environment. `promote`: one that comes after another environment's. Both if
    none is named. Rollback and abort are never held up.
    """
    started_by: Literal["person", "schedule"] | None = None
    """Only for releases that a person, or a schedule, has started."""
    environments: Annotated[tuple[Name, ...], Field(max_length=50)] = ()
    """Only in these environments; in all that name the calendar if none is given."""
    pipelines: Annotated[tuple[Name, ...], Field(max_length=200)] = ()
    """Only for these pipelines."""
    labels: Labels = Field(default_factory=dict)
    """Only for pipelines that have all of these labels in their `metadata`."""


class Calendar(SpecModel):
    """When changes are allowed, and when not. All that an environment and a stage name must be open."""

    api_version: ApiVersion = Field(alias="apiVersion")
    """Version of this format."""
    kind: Literal["Calendar"]
    """Kind of document."""
    metadata: Metadata
    """Name and owner; the file is `calendars/<name>.yaml`."""
    zone: Zone
    """IANA time zone of all windows that have none of their own."""
    windows: Annotated[tuple[CalendarWindow, ...], Field(min_length=1, max_length=50)]
    """Times that allow and times that deny. Without one that allows, changes are allowed unless denied."""
