"""When trains depart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.calendars.departures import Departures
from relman_plugins.calendars.gate import Gate


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def gate(**more) -> Departures:
    windows = [{"days": ["tue", "thu"], "from": "10:00", "to": "12:00", "zone": "Europe/Berlin"}]
    return Departures(gate=Gate.of({"windows": windows} | more))


TUESDAYS = Departures(cron="0 10 * * TUE", zone="Europe/Berlin")


def test_the_next_departure_is_after_and_the_clocks_of_the_zone_count():
    assert TUESDAYS.after(at("2026-10-20T08:00")) == at("2026-10-27T09:00")
    assert TUESDAYS.after(at("2026-10-20T07:59")) == at("2026-10-20T08:00")


@pytest.mark.parametrize(
    ("cron", "found"),
    [
        ("30 2 29 3 *", "2026-03-29T01:30"),  # 02:30 does not exist that night: 03:30
        ("30 2 25 10 *", "2026-10-25T00:30"),  # 02:30 comes twice: the first
        ("0 0 29 2 *", "2028-02-28T23:00"),
    ],
)
def test_a_departure_comes_once_through_gaps_folds_and_leap_years(cron: str, found: str):
    departs = Departures(cron=cron, zone="Europe/Berlin")
    first = departs.after(at("2026-01-01T00:00"))
    assert first == at(found)
    assert departs.after(first) > first + timedelta(days=300)


def test_what_never_happens_has_no_departure():
    assert Departures(cron="0 0 30 2 *").after(at("2026-01-01T00:00")) is None
    assert Departures(gate=Gate()).after(at("2026-01-01T00:00")) is None


def test_it_departs_whenever_an_environment_opens():
    departs = gate()
    assert departs.within(at("2026-11-24T00:00"), at("2026-12-01T00:00")) == [
        at("2026-11-24T09:00"),
        at("2026-11-26T09:00"),
    ]
    assert departs.after(at("2026-11-24T09:30")) == at("2026-11-26T09:00"), "open already: the next opening"


def test_a_freeze_delays_the_opening_or_takes_it_away():
    frozen = {"name": "x", "windows": [{"effect": "deny", "series": [
        {"start": "2026-11-24T00:00", "zone": "Europe/Berlin", "length": {"seconds": 39_600}},
        {"start": "2026-11-26T00:00", "zone": "Europe/Berlin", "length": {"days": 1}},
    ]}]}  # fmt: skip
    departs = gate(calendars=[frozen])
    assert departs.within(at("2026-11-24T00:00"), at("2026-12-02T00:00")) == [
        at("2026-11-24T10:00"),
        at("2026-12-01T09:00"),
    ]


def test_windows_that_are_about_people_only_do_not_hold_a_train():
    people = {"name": "x", "windows": [{"effect": "deny", "started_by": "person", "weekly": {
        "days": ["tue"], "from": "00:00", "to": "24:00", "zone": "UTC"}}]}  # fmt: skip
    assert gate(calendars=[people]).after(at("2026-11-24T00:00")) == at("2026-11-24T09:00")


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)), st.integers(1, 4))  # noqa: DTZ001
def test_departures_follow_each_other_and_none_is_left_out(start, count):
    since = start.replace(tzinfo=UTC)
    found = []
    for _ in range(count):
        found.append(TUESDAYS.after(found[-1] if found else since))
    assert found == TUESDAYS.within(since + timedelta(microseconds=1), found[-1] + timedelta(seconds=1))
    assert TUESDAYS.before(found[-1], since) == found[-1]
    assert TUESDAYS.before(found[0] - timedelta(seconds=1), since) is None
