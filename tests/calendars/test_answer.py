# ruff: noqa: DTZ001 - rules are followed on the wall clock, without a zone
"""Calendars against a brute force that looks at every minute, and with an implementation of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from relman_plugins.calendars.answer import answer
from relman_plugins.calendars.cron import Cron
from relman_plugins.calendars.holidays import Holidays
from relman_plugins.calendars.model import Calendar, Question, TimeWindow
from relman_plugins.calendars.series import Length, Series
from relman_plugins.calendars.weekly import DAYS, Window
from relman_plugins.calendars.work import Work
from relman_plugins.errors import CalendarError

MINUTE = timedelta(minutes=1)
AHEAD = 24 * 60
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu")
MOMENTS = (
    datetime(2026, 3, 27, 22, tzinfo=UTC),  # clocks change in Berlin on the 29th
    datetime(2026, 10, 24, 3, tzinfo=UTC),
    datetime(2026, 4, 3, 7, tzinfo=UTC),  # in Lord Howe, by half an hour
    datetime(2026, 4, 23, 1, tzinfo=UTC),  # in Cairo, at midnight
    datetime(2028, 2, 27, 23, tzinfo=UTC),  # a leap day
    datetime(2026, 12, 30, tzinfo=UTC),
)
EVERYTHING = Question()
HOSTILE = (
    TimeWindow(
        effect="deny",
        series=(
            Series(
                start=datetime(2026, 1, 1), zone="UTC", length=Length(seconds=9), rules=("FREQ=SECONDLY",)
            ),
        ),
    ),
    TimeWindow(effect="allow", cron=Cron(expression="0 0 30 2 *", zone="Mars", seconds=60)),
)


def windows() -> st.SearchStrategy[TimeWindow]:
    zone, effect = st.sampled_from(ZONES), st.sampled_from(["allow", "deny"])
    clock = st.sampled_from(["00:00", "01:30", "02:00", "02:30", "03:00", "09:00", "18:00", "23:45"])
    days = st.lists(st.sampled_from(DAYS), min_size=1, unique=True)
    length = st.sampled_from([1, 30, 60, 90, 480, 1_500, 4_000]).map(lambda m: m * 60)
    weekly = st.builds(
        lambda d, a, b, z: {"weekly": Window.model_validate({"days": d, "from": a, "to": b, "zone": z})},
        days, clock, st.just("12:15"), zone,
    )  # fmt: skip
    rules = st.sampled_from(
        [
            "FREQ=DAILY",
            "FREQ=DAILY;INTERVAL=2",
            "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30",
            "FREQ=WEEKLY;BYDAY=SU,MO",
            "FREQ=MONTHLY;BYDAY=-1SU",
            "FREQ=MONTHLY;BYMONTHDAY=29,30,31",
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
            "FREQ=HOURLY;INTERVAL=7",
            "FREQ=MINUTELY;INTERVAL=95",
        ]
    )
    start = st.sampled_from([datetime(2026, 1, 4, 2, 30), datetime(2025, 6, 1, 1, 15), datetime(2024, 2, 29)])
    series = st.builds(
        lambda r, s, z, n: {
            "series": (Series(start=s, zone=z, length=Length(seconds=n), rules=(r,), with_start=False),)
        },
        rules, start, zone, length,
    )  # fmt: skip
    expressions = st.sampled_from(["30 2 * * *", "0 */5 * * *", "15 18 * * 1-5", "0 0 29 2 *", "45 23 L * 0"])
    cron = st.builds(
        lambda e, z, n: {"cron": Cron(expression=e.replace("L * 0", "28-31 * *"), zone=z, seconds=n)},
        expressions, zone, length,
    )  # fmt: skip
    return st.builds(
        lambda e, t: TimeWindow(effect=e, name="w", **t), effect, st.one_of(weekly, series, cron)
    )


calendars = st.lists(
    st.lists(windows(), min_size=1, max_size=3).map(lambda w: Calendar(name="c", windows=tuple(w))),
    min_size=1,
    max_size=2,
)


def minutes(window: TimeWindow, since: datetime, until: datetime) -> set[datetime]:
    """Every minute in which the window is active: no code of the project's."""
    found: set[datetime] = set()
    for at in (since + n * MINUTE for n in range(int((until - since) / MINUTE))):
        if window.weekly is not None and _in_week(window.weekly, at):
            found.add(at)
    for start, end in _spans(window, since, until):
        at = max(start, since)
        while at < min(end, until):
            found.add(at)
            at += MINUTE
    return found


def _in_week(window: Window, at: datetime) -> bool:
    wall = at.astimezone(ZoneInfo(window.zone))
    clock, day = f"{wall:%H:%M}", DAYS[wall.weekday()]
    if window.to > window.from_:
        return day in window.days and window.from_ <= clock < window.to
    yesterday = DAYS[wall.weekday() - 1]
    return (day in window.days and clock >= window.from_) or (yesterday in window.days and clock < window.to)


def _spans(window: TimeWindow, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    walls: list[datetime] = []
    begin, end = since - timedelta(days=4), until + timedelta(days=2)
    if window.cron is not None:
        zone, length = window.cron.zone, window.cron.seconds
        wall = begin.replace(tzinfo=None)
        while wall < end.replace(tzinfo=None):
            walls += [wall] if _cron(window.cron.expression, wall) else []
            wall += MINUTE
    elif window.series:
        (series,) = window.series
        zone, length = series.zone, series.length.seconds
        rule = rrulestr(series.rules[0], dtstart=series.start)
        walls = rule.between(begin.replace(tzinfo=None), end.replace(tzinfo=None), inc=True)
    else:
        return []
    starts = [wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for wall in walls]
    return [(start, start + timedelta(seconds=length)) for start in starts]


def _cron(expression: str, wall: datetime) -> bool:
    minute, hour, day, month, weekday = expression.split()

    def fits(field: str, value: int) -> bool:
        step = int(field.partition("/")[2] or 1)
        first, _, last = field.partition("/")[0].partition("-")
        return value % step == 0 if first == "*" else int(first) <= value <= int(last or first)

    good = fits(minute, wall.minute) and fits(hour, wall.hour) and fits(month, wall.month)
    return good and fits(day, wall.day) and fits(weekday, wall.isoweekday() % 7)


@settings(max_examples=30, deadline=None)
@given(
    calendars=calendars, start=st.sampled_from(MOMENTS), asked=st.lists(st.integers(0, AHEAD - 1), max_size=8)
)
def test_open_is_membership_and_changes_are_exact(
    calendars: list[Calendar], start: datetime, asked: list[int]
) -> None:
    until = start + 2 * AHEAD * MINUTE
    active = {id(w): minutes(w, start, until) for c in calendars for w in c.windows}

    def is_open(at: datetime) -> bool:
        for calendar in calendars:
            on = [w for w in calendar.windows if at in active[id(w)]]
            allows = [w for w in calendar.windows if w.effect == "allow"]
            if any(w.effect == "deny" for w in on) or (allows and not any(w.effect == "allow" for w in on)):
                return False
        return True

    table = [is_open(start + n * MINUTE) for n in range(2 * AHEAD)]
    for n in [0, *asked]:
        at = start + n * MINUTE
        said = answer(calendars, EVERYTHING, at)
        assert said.open is table[n]
        change = said.next_close if said.open else said.next_open
        flip = next((m for m in range(n, 2 * AHEAD) if table[m] is not table[n]), None)
        if flip is not None:
            assert change == start + flip * MINUTE
        else:
            assert change is None or change >= until
        assert (said.next_open if said.open else said.next_close) is None
        # A second before a boundary it is as before.
        if flip is not None:
            assert answer(calendars, EVERYTHING, change - timedelta(seconds=1)).open is said.open
            assert answer(calendars, EVERYTHING, change).open is not said.open


@settings(max_examples=30, deadline=None)
@given(
    calendars=calendars,
    at=st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    action=st.sampled_from(["rollback", "abort", "approve"]),
    started_by=st.sampled_from(["person", "schedule"]),
)
def test_no_calendar_holds_up_the_way_back(
    calendars: list[Calendar], at: datetime, action: Any, started_by: Any
) -> None:
    everything = one("deny", "for ever", **once(datetime(1, 1, 5), 36_000 * 24))
    freeze = Calendar(name="freeze", windows=(everything, *HOSTILE))
    found = answer([freeze, *calendars], Question(actions=(action,), started_by=started_by), at)
    assert (found.open, found.next_open, found.next_close) == (True, None, None)


def one(effect: str, name: str = "w", **times: Any) -> TimeWindow:
    return TimeWindow.model_validate({"effect": effect, "name": name, **times})


def once(start: datetime, hours: float, zone: str = "UTC") -> dict[str, Any]:
    return {"series": [Series(start=start, zone=zone, length=Length(seconds=int(hours * 3_600)))]}


OFFICE = {"weekly": {"days": ["mon", "tue"], "from": "09:00", "to": "17:00", "zone": "Europe/Berlin"}}
AT = datetime(2026, 1, 5, 10, tzinfo=UTC)  # a Monday


def said(*windows: TimeWindow, at: datetime = AT, question: Question = EVERYTHING) -> Any:
    return answer([Calendar(name="company", windows=windows)], question, at)


def test_deny_beats_allow_and_both_are_said() -> None:
    freeze = one("deny", "inventory", **once(datetime(2026, 1, 5, 9), 3))
    found = said(one("allow", "office hours", **OFFICE), freeze)
    assert found.reasons == (
        "denied by inventory of calendar company until Mon 2026-01-05 12:00 UTC",
        "opens Mon 2026-01-05 12:00 UTC",
    )
    assert (found.open, found.next_open) == (False, datetime(2026, 1, 5, 12, tzinfo=UTC))


def test_outside_of_what_allows_it_is_closed_until_the_next_opening_that_nothing_denies() -> None:
    freeze = one("deny", "inventory", **once(datetime(2026, 1, 6, 8), 2))
    found = said(one("allow", "office hours", **OFFICE), freeze, at=datetime(2026, 1, 5, 17, tzinfo=UTC))
    assert found.reasons == ("outside office hours of calendar company", "opens Tue 2026-01-06 10:00 UTC")


def test_without_a_window_that_allows_it_is_open_unless_denied() -> None:
    found = said(one("deny", "leap", **once(datetime(2028, 2, 29), 24)))
    assert (found.open, found.next_close) == (True, datetime(2028, 2, 29, tzinfo=UTC))
    found = said(one("deny", "past", **once(datetime(2020, 2, 29), 24)))
    assert (found.open, found.next_close, found.reasons) == (True, None, ("it stays open",))
    found = said(one("allow", "past", **once(datetime(2020, 2, 29), 24)))
    assert (found.open, found.next_open, found.reasons[-1]) == (False, None, "never opens")


def test_all_calendars_must_be_open() -> None:
    mine = Calendar(name="mine", windows=(one("allow", "always", **once(datetime(2020, 1, 1), 24 * 36_500)),))
    theirs = Calendar(name="theirs", windows=(one("allow", "office hours", **OFFICE),))
    assert answer([mine, theirs], EVERYTHING, AT).open
    assert not answer([mine, theirs], EVERYTHING, AT + timedelta(hours=8)).open


@pytest.mark.parametrize(
    ("about", "question", "open_"),
    [
        ({}, Question(), False),
        ({"actions": ["promote"]}, Question(), True),
        ({"actions": ["promote"]}, Question(actions=("deploy", "promote")), False),
        ({"actions": ["deploy"]}, Question(actions=("deploy", "promote")), False),
        ({"started_by": "schedule"}, Question(), True),
        ({"started_by": "schedule"}, Question(started_by="schedule"), False),
    ],
)
def test_a_window_is_about_what_it_says(about: dict[str, Any], question: Question, open_: bool) -> None:
    freeze = one("deny", **once(datetime(2026, 1, 5), 24), **about)
    assert said(freeze, question=question).open is open_


def test_what_repeats_without_measure_is_refused_when_near_and_left_open_when_far() -> None:
    every_second = {"series": [
        Series(start=AT.replace(tzinfo=None), zone="UTC", length=Length(seconds=1), rules=("FREQ=SECONDLY",))
    ]}  # fmt: skip
    with pytest.raises(CalendarError, match="gave up after"):
        said(one("deny", **every_second))
    every_minute = one("deny", cron={"expression": "* * * * *", "zone": "UTC", "seconds": 60})
    found = said(every_minute)
    assert (found.open, found.next_open, found.reasons[-1]) == (
        False,
        None,
        "never opens as far as can be told",
    )


def test_what_can_not_be_followed_later_today_is_not_taken_for_open_now() -> None:
    starts = (AT + MINUTE).replace(tzinfo=None)
    often = Series(start=starts, zone="UTC", length=Length(seconds=1), rules=("FREQ=SECONDLY;INTERVAL=3",))
    each = [Calendar(name=name, windows=(one("deny", series=[often]),)) for name in "ab"]
    assert answer(each[:1], EVERYTHING, AT).next_close == AT + MINUTE
    with pytest.raises(CalendarError, match="gave up after"):
        answer(each, EVERYTHING, AT)


def test_public_holidays_are_days_in_their_zone() -> None:
    days = one("deny", "holidays", holidays={"country": "DE", "subdivision": "BE", "zone": "Europe/Berlin"})
    found = said(days, at=datetime(2026, 3, 7, 23, tzinfo=UTC))  # 8 March in Berlin, which others work on
    assert found.reasons[0].startswith("denied by holidays (")
    assert found.next_open == datetime(2026, 3, 8, 23, tzinfo=UTC)
    everywhere = one("deny", holidays={"country": "DE", "zone": "Europe/Berlin"})
    assert said(everywhere, at=datetime(2026, 3, 8, 12, tzinfo=UTC)).open


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (Holidays(country="XX", zone="UTC"), "no holidays are known of 'XX'"),
        (Holidays(country="DE", subdivision="QQ", zone="UTC"), "DE has no part 'QQ'"),
        (Holidays(country="DE", zone="Mars"), "unknown time zone 'Mars'"),
        (Cron(expression="0 0 30 2 *", zone="UTC", seconds=60), "never happens"),
        (Cron(expression="61 * * * *", zone="UTC", seconds=60), "not acceptable"),
        (Cron(expression="* * * *", zone="UTC", seconds=60), "no cron expression of five fields"),
        (Cron(expression="* * * * * *", zone="UTC", seconds=60), "no cron expression of five fields"),
        (Cron(expression="R * * * *", zone="UTC", seconds=60), "leave the time to chance"),
        (Cron(expression="H(0-5) * * * *", zone="UTC", seconds=60), "no cron expression"),
        (Cron(expression="0 0 * * *", zone="localtime", seconds=60), "unknown time zone 'localtime'"),
    ],
)
def test_what_can_not_be_followed_is_said(about: Holidays | Cron, message: str) -> None:
    with pytest.raises(CalendarError) as caught:
        about.check(Work())
    assert message in str(caught.value)


def test_a_dense_expression_ends_within_counted_work() -> None:
    every_minute = Cron(expression="* * * * *", zone="UTC", seconds=60)
    with pytest.raises(CalendarError, match="gave up after"):
        every_minute.spans(AT, AT + timedelta(days=400), Work(10_000))
