"""The train of a plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relman_plugins.errors import PlanError
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.diff import diff, line_of
from relman_plugins.plan.model import Shape
from relman_plugins.plan.train import Train
from tests.plan.make import documents, environment, pipeline


def compiled(stages, environments, **more) -> Shape:
    return compile_shape(documents(pipeline(stages, **more), environments))


def test_a_schedule_becomes_cron_in_its_zone():
    schedule = {"days": ["sun", "tue"], "at": "09:05", "zone": "Europe/Berlin", "version": {"file": "V"}}
    shape = compiled([{"environment": "a"}], [environment("a")], schedule=schedule)
    assert shape.schedule == {
        "departs": {"cron": "5 9 * * 0,2", "zone": "Europe/Berlin"},
        "words": "Sun, Tue at 09:05 (Europe/Berlin)",
        "source": {"kind": "file", "place": "V"},
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, 'departs with each event of a, b with the "version" in the event\'s extra, unless'),
        ({"version": {"file": "V"}}, "departs with each event of a, b with what V says, unless"),
    ],
)
def test_a_schedule_by_events_takes_their_version_unless_it_says_another_place(more, said):
    shape = compiled([{"environment": "e"}], [environment("e")], schedule={"assets": ["a", "b", "a"]} | more)
    train = Train.of(shape.schedule)
    assert train.departs.after(datetime(2026, 11, 24, tzinfo=UTC)) is None
    assert train.departs.within(datetime(2026, 11, 24, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)) == []
    assert train.describe().startswith(said)


def test_a_schedule_by_an_opening_has_the_windows_and_calendars_of_the_gate():
    hours = {"days": ["tue"], "from": "10:00", "to": "12:00", "zone": "UTC"}
    more = {"cutoff": "2h", "announce": "1d", "version": {"git": "https://forge.example/shop.git"}}
    shape = compiled(
        [{"environment": "a"}], [environment("a", windows=[hours])], schedule={"opening": "a", **more}
    )
    train = Train.of(shape.schedule)
    assert train.departs.after(datetime(2026, 11, 24, tzinfo=UTC)) == datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert train.describe() == (
        "departs whenever a opens with the newest tag v* in https://forge.example/shop.git, unless somebody "
        "adds another version; settled 2h before"
    )
    assert train.lead == timedelta(days=1)


def test_a_schedule_by_an_opening_without_a_window_of_ours_is_no_plan():
    with pytest.raises(PlanError, match="no window of a is about this pipeline"):
        compiled([{"environment": "a"}], [environment("a")], schedule={"opening": "a"})


DAILY = {"days": ["tue"], "at": "09:05", "zone": "UTC", "version": {"file": "V"}}
HOURS = {"days": ["tue"], "from": "10:00", "to": "12:00", "zone": "UTC"}


def differences(before: dict, after: dict, hours: dict | None = None) -> list[str]:
    sides = [
        compiled(
            [{"environment": "a"}], [environment("a", windows=[window])], **({"schedule": s} if s else {})
        )
        for s, window in ((before, HOURS), (after, hours or HOURS))
    ]
    return [line_of(d) for d in diff(*sides).differences if d.where.startswith("release")]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, DAILY, ["release schedule: added"]),
        (DAILY, {}, ["release schedule: removed"]),
        (
            DAILY,
            DAILY | {"at": "09:06", "cutoff": "2h"},
            [
                "release schedule departs: Tue at 09:05 (UTC) -> Tue at 09:06 (UTC)",
                "release schedule settled before: 0s -> 2h",
            ],
        ),
        (
            DAILY,
            DAILY | {"version": {"directory": "D"}},
            ["release schedule version: what V says -> the newest artefact in D"],
        ),
    ],
)
def test_what_differs_of_a_train_is_told_in_words(before, after, said):
    assert differences(before, after) == said


def test_windows_that_differ_are_told_of_a_train_that_departs_when_they_open():
    opening = {"opening": "a", "version": {"file": "V"}}
    (line,) = differences(opening, opening, HOURS | {"from": "11:00"})
    assert line.startswith("release schedule timetable: {")
