"""Weekly windows against a brute force that looks at the clock on the wall, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from relman_plugins.calendars.weekly import DAYS, Window, answer, is_open, next_change

MINUTE = timedelta(minutes=1)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Africa/Cairo",  # clocks change at midnight
    "Asia/Kathmandu",  # 5:45
    "Pacific/Apia",  # 2011-12-30 never happened
)
MOMENTS = (
    datetime(2026, 3, 27, tzinfo=UTC),  # Berlin, Lord Howe and Cairo change within five weeks
    datetime(2026, 4, 3, tzinfo=UTC),
    datetime(2026, 4, 22, tzinfo=UTC),
    datetime(2026, 10, 23, tzinfo=UTC),
    datetime(2026, 10, 30, tzinfo=UTC),
    datetime(2026, 3, 6, tzinfo=UTC),
    datetime(2011, 12, 28, tzinfo=UTC),
    datetime(2026, 7, 1, tzinfo=UTC),
)


def window(days: str, start: str, end: str, zone: str = "Europe/Berlin") -> Window:
    return Window.model_validate({"days": days.split(), "from": start, "to": end, "zone": zone})


def minutes_of_week(w: Window) -> set[int]:
    """Every minute of a week, from Monday 00:00 on the wall, at which the window is open."""

    def minute(clock: str) -> int:
        return int(clock[:2]) * 60 + int(clock[3:])

    length = (minute(w.to) - minute(w.from_)) % 1440 or 1440
    starts = [DAYS.index(day) * 1440 + minute(w.from_) for day in w.days]
    return {(start + i) % (7 * 1440) for start in starts for i in range(length)}


def brute(windows: list[Window], at: datetime) -> bool:
    for w in windows:
        wall = at.astimezone(ZoneInfo(w.zone))
        if wall.weekday() * 1440 + wall.hour * 60 + wall.minute in minutes_of_week(w):
            return True
    return False


def brute_table(windows: list[Window], start: datetime, minutes: int) -> list[bool]:
    sets = [(ZoneInfo(w.zone), minutes_of_week(w)) for w in windows]
    table = []
    for i in range(minutes):
        at = start + i * MINUTE
        walls = [(at.astimezone(zone), open_) for zone, open_ in sets]
        table.append(any(x.weekday() * 1440 + x.hour * 60 + x.minute in open_ for x, open_ in walls))
    return table


clocks = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59]))
days = st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True)


@st.composite
def window_values(draw: st.DrawFn) -> Window:
    start = draw(clocks)
    end = draw((clocks | st.just("24:00")).filter(lambda c: c != start))
    zone = draw(st.sampled_from(ZONES))
    return Window.model_validate({"days": draw(days), "from": start, "to": end, "zone": zone})


@settings(max_examples=40, deadline=None)
@given(st.lists(window_values(), min_size=1, max_size=3), st.sampled_from(MOMENTS), st.integers(0, 4 * 1440))
def test_open_and_next_change_are_what_the_wall_clocks_say(
    windows: list[Window], start: datetime, shift: int
) -> None:
    at = start + shift * MINUTE
    table = brute_table(windows, at, 9 * 1440)
    assert is_open(windows, at) == table[0]
    change = next_change(windows, at)
    expected = next((i for i, state in enumerate(table) if state != table[0]), None)
    if expected is not None:
        assert change == at + expected * MINUTE
    else:
        assert change is None or change >= at + len(table) * MINUTE


@settings(max_examples=200, deadline=None)
@given(st.lists(window_values(), min_size=1, max_size=4), st.sampled_from(MOMENTS), st.integers(0, 20 * 1440))
def test_open_at_any_minute(windows: list[Window], start: datetime, shift: int) -> None:
    at = start + shift * MINUTE
    assert is_open(windows, at) == brute(windows, at)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(window_values(), min_size=1, max_size=4), st.sampled_from(MOMENTS), st.integers(0, 20 * 86400)
)
def test_an_answer_agrees_with_itself(windows: list[Window], start: datetime, shift: int) -> None:
    at = start + timedelta(seconds=shift)
    said = answer(windows, at)
    assert said.open == is_open(windows, at)
    assert said.reasons
    change = said.next_close if said.open else said.next_open
    assert (said.next_open if said.open else said.next_close) is None
    if change is not None:
        assert change.tzinfo is UTC
        assert change > at
        assert is_open(windows, change) != said.open
        assert is_open(windows, change - timedelta(seconds=1)) == said.open


def test_past_midnight_belongs_to_the_day_it_opened_on() -> None:
    night = [window("fri", "22:00", "02:00")]
    assert is_open(night, datetime(2026, 7, 3, 20, 0, tzinfo=UTC))
    assert is_open(night, datetime(2026, 7, 3, 23, 59, tzinfo=UTC))
    assert not is_open(night, datetime(2026, 7, 4, 0, 0, tzinfo=UTC))
    assert not is_open(night, datetime(2026, 7, 2, 23, 0, tzinfo=UTC))


def test_a_window_inside_the_hour_that_is_skipped_does_not_open_that_day() -> None:
    lost = [window("sun", "02:00", "03:00")]
    saturday = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert next_change(lost, saturday) == datetime(2026, 4, 5, 0, 0, tzinfo=UTC)


def test_a_window_inside_the_hour_that_comes_twice_opens_twice() -> None:
    twice = [window("sun", "02:00", "02:30")]
    at, changes = datetime(2026, 10, 24, 12, tzinfo=UTC), []
    for _ in range(4):
        found = next_change(twice, at)
        assert found is not None
        changes.append(f"{found:%H:%M}")
        at = found
    assert changes == ["00:00", "00:30", "01:00", "01:30"]


def test_always_open_never_changes_not_even_when_clocks_do() -> None:
    always = [window(" ".join(DAYS), "00:00", "24:00")]
    for at in MOMENTS:
        said = answer(always, at)
        assert (said.open, said.next_close, said.next_open) == (True, None, None)
        assert said.reasons[0].endswith("always")


def test_windows_that_touch_or_overlap_are_one() -> None:
    both = [window("mon", "09:00", "12:00"), window("mon", "11:00", "14:00"), window("mon", "14:00", "15:00")]
    said = answer(both, datetime(2026, 7, 6, 8, 0, tzinfo=UTC))
    assert said.next_close == datetime(2026, 7, 6, 13, 0, tzinfo=UTC)


def test_without_windows_everything_is_allowed() -> None:
    said = answer([], MOMENTS[0])
    assert said.open
    assert said.next_close is None
    assert next_change([], MOMENTS[0]) is None


def test_the_reasons_of_a_closed_answer_say_when_it_opens() -> None:
    said = answer([window("tue", "09:00", "16:00")], datetime(2026, 7, 6, 8, 0, tzinfo=UTC))
    assert said.reasons == ("outside tue 09:00-16:00 Europe/Berlin", "opens Tue 2026-07-07 07:00 UTC")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        is_open([], datetime(2026, 7, 6, 8, 0))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "09:00"},
        {"to": "24:01"},
        {"from": "24:00"},
        {"from": "9:00"},
        {"zone": "Europe/Berlim"},
        {"zone": "../../etc/passwd"},
        {"zone": ""},
        {"days": []},
        {"days": ["monday"]},
        {"until": "17:00"},
    ],
)
def test_what_is_not_a_window_is_refused(wrong: dict[str, object]) -> None:
    good = {"days": ["mon"], "from": "09:00", "to": "17:00", "zone": "Europe/Berlin"}
    Window.model_validate(good)
    with pytest.raises(ValidationError):
        Window.model_validate(good | wrong)
