"""Openings that are long enough for a change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from relman_plugins.calendars.gate import Gate
from relman_plugins.calendars.model import Calendar, TimeWindow
from relman_plugins.calendars.weekly import DAYS, Window

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def window(days: list[str], start: int, end: int) -> Window:
    return Window.model_validate(
        {"days": days, "from": f"{start:02}:00", "to": f"{end:02}:00", "zone": "UTC"}
    )


WINDOWS = st.builds(
    window,
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True),
    st.integers(0, 11),
    st.integers(14, 23),
)
NIGHT = TimeWindow(effect="deny", name="batch", weekly=window(list(DAYS), 2, 13))


@settings(deadline=None, max_examples=40)
@given(
    windows=st.lists(WINDOWS, min_size=1, max_size=3),
    minutes=st.integers(0, 7 * 24 * 60),
    need=st.integers(0, 20),
    denies=st.booleans(),
)
def test_what_is_found_is_long_enough_and_nothing_before_it_is(
    windows: list[Window], minutes: int, need: int, denies: bool
) -> None:
    calendars = (Calendar(name="c", windows=(NIGHT,)),) if denies else ()
    gate, at = Gate(windows=tuple(windows), calendars=calendars), MONDAY + timedelta(minutes=minutes)
    said = gate.look(at, "person", need * 3600.0).answer

    def fits(when: datetime) -> bool:
        found = gate.answer(when, "person")
        lasts = found.next_close is None or found.next_close - when >= timedelta(hours=need)
        return found.open and lasts

    assert said.open == fits(at)
    last = said.next_open if not said.open else at
    if last is None:
        assert not any(fits(at + timedelta(hours=n)) for n in range(7 * 24)), "not within a week either"
        return
    assert fits(last)
    hours = int((last - at).total_seconds() // 3600)
    assert not any(fits(at + timedelta(hours=n)) for n in range(0 if not said.open else hours, hours))


def test_it_is_said_why_an_opening_is_too_short() -> None:
    gate = Gate(windows=(window(["mon"], 9, 12), window(["fri"], 9, 18)))
    said = gate.look(MONDAY + timedelta(hours=10), "person", 5 * 3600.0).answer
    assert said.reasons == (
        "open until Mon 2026-11-23 12:00 UTC, and the change takes 5:00:00 at least",
        "an opening that is long enough begins Fri 2026-11-27 09:00 UTC",
    )
    never = gate.look(MONDAY + timedelta(hours=10), "person", 50 * 3600.0).answer
    assert never.next_open is None
    assert never.reasons[-1] == "none of the next 20 openings is long enough"
