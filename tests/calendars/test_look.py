"""What a gate says at one moment: what an exception would be from, and that it is from nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relman_plugins.calendars.cron import Cron
from relman_plugins.calendars.gate import MOST_ASKED, Gate, Look, starter
from relman_plugins.calendars.model import Calendar, TimeWindow
from relman_plugins.calendars.series import Length, Series
from relman_plugins.calendars.weekly import DAYS, Window
from relman_plugins.calendars.work import Work
from relman_plugins.domain.identity import Actor

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

Time = tuple[int, int, bool]
"""Beginning and length in minutes from noon, and whether it leaves room for exceptions."""


def gate(times: list[Time]) -> Gate:
    """Make a gate of one calendar; equal times of it are told apart by their names."""
    windows = tuple(
        TimeWindow(
            effect="deny",
            name=f"w{n}",
            unless="approved" if soft else "",
            series=(Series(start=(NOON + begin * MINUTE).replace(tzinfo=None), zone="UTC", length=length),),
        )
        for n, (begin, minutes, soft) in enumerate(times)
        for length in [Length(seconds=minutes * 60)]
    )
    return Gate(calendars=(Calendar(name="c", windows=windows),) if windows else ())


def on(times: list[Time], minute: int, need: int = 0) -> set[str]:
    """Return the names of what is in the way of a release: by brute force."""
    minutes = range(minute, minute + max(need, 1))
    return {
        f"w{n}" for n, (begin, long, _) in enumerate(times) if any(begin <= m < begin + long for m in minutes)
    }


def named(said: Look) -> set[str]:
    """Return the names of what people would be asked about."""
    found = {one.says.split()[2] for one in said.asks}
    assert len(found) == len(said.asks) == len({one.id for one in said.asks})
    return found


def look(times: list[Time], minute: int, need: int = 0, excepted: frozenset[str] = frozenset()) -> Look:
    return gate(times).look(NOON + minute * MINUTE, "person", need * 60.0, excepted)


TIMES = st.lists(st.tuples(st.integers(-30, 60), st.integers(1, 60), st.booleans()), max_size=5)


@settings(deadline=None, max_examples=150)
@given(times=TIMES, minute=st.integers(0, 30), later=st.integers(0, 60), need=st.integers(0, 20))
def test_a_yes_lets_past_all_that_was_shown_and_nothing_that_comes_later(
    times: list[Time], minute: int, later: int, need: int
) -> None:
    said, way = look(times, minute, need), on(times, minute, need)
    assert said.answer.open is not bool(way)
    soft = {f"w{n}" for n, (*_, one) in enumerate(times) if one}
    shown = named(said)
    assert shown == (way if way <= soft else set())
    yes = frozenset(one.id for one in said.asks)
    for one in yes:
        assert not look(times, minute, need, yes - {one}).answer.open, "a part of it is not enough"
    if yes:
        assert set(look(times, minute, need, yes).past) == set(said.asks)
    assert look(times, minute + later, 0, yes).answer.open is (on(times, minute + later) <= shown)


@settings(deadline=None, max_examples=100)
@given(times=TIMES, minute=st.integers(0, 30), need=st.integers(0, 20))
def test_it_is_said_when_people_could_be_asked(times: list[Time], minute: int, need: int) -> None:
    said = look(times, minute, need)
    if said.answer.open or said.asks or not any(soft for *_, soft in times):
        assert said.asks_at is None
        return
    firm = [one for one in times if not one[2]]
    first = next(m for m in range(minute, 400) if not on(firm, m, need))
    assert said.asks_at == NOON + first * MINUTE


def test_a_closing_is_known_by_its_calendar_its_window_and_its_time() -> None:
    one = look([(0, 60, True)], 5).asks[0]
    assert look([(0, 60, True)], 50).asks[0] == one, "whenever it is asked"
    assert look([(0, 61, True)], 5).asks[0].id != one.id
    calendar = gate([(0, 60, True)]).calendars[0]
    other = Gate(calendars=(calendar, calendar.model_copy(update={"name": "d"})))
    mine, theirs = other.look(NOON, "person").asks
    assert mine.id == one.id != theirs.id
    assert not other.look(NOON, "person", 0, {one.id}).answer.open


@pytest.mark.parametrize("many", [MOST_ASKED, MOST_ASKED + 1])
def test_nobody_is_asked_about_more_than_can_be_shown(many: int) -> None:
    often = Cron(expression="* * * * *", zone="UTC", seconds=many * 60)
    window = TimeWindow(effect="deny", name="often", cron=often, unless="approved")
    said = Gate(calendars=(Calendar(name="c", windows=(window,)),)).look(NOON, "person")
    assert len(said.asks) == (many if many == MOST_ASKED else 0)
    more = [reason for reason in said.answer.reasons if "more times of often" in reason]
    assert len(more) == many - MOST_ASKED


def test_nobody_lets_a_release_past_what_leaves_no_room_for_exceptions() -> None:
    """Whatever ids are among those that people approved."""
    (calendar,) = gate([(0, 60, False)]).calendars
    (window,) = calendar.windows
    spans = window.spans(NOON, NOON + MINUTE, Work())
    said = look([(0, 60, False)], 10, excepted=frozenset(window.named(calendar.name, spans)))
    assert (said.answer.open, said.past, said.asks) == (False, (), ())


@pytest.mark.parametrize(
    ("kind", "via", "who"),
    [("person", "airflow", "person"), ("person", "schedule", "schedule"), ("system", "schedule", "schedule")],
)
def test_a_train_is_a_schedule_whoever_added_the_version(kind: Any, via: str, who: str) -> None:
    assert starter(Actor(kind=kind, id="alice", via=via)) == who


def test_an_environments_own_windows_and_the_calendars_must_all_be_open() -> None:
    always = {"days": list(DAYS), "from": "00:00", "to": "24:00", "zone": "UTC"}
    own = Gate(windows=(Window.model_validate(always),))
    assert own.look(NOON, "person").answer.open
    denied = own.model_copy(update={"calendars": gate([(0, 60, False)]).calendars})
    assert not denied.look(NOON, "person").answer.open
    assert denied.look(NOON + 60 * MINUTE, "person").answer.open
