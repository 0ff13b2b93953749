# ruff: noqa: DTZ001 - rules are followed on the wall clock, without a zone
"""Rules of RFC 5545 against public cases, against dateutil, and against the hostile."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from relman_plugins.calendars.recur import occurrences
from relman_plugins.calendars.rule import DAYS, FREQUENCIES, parse
from relman_plugins.calendars.work import Work
from relman_plugins.errors import CalendarError
from tests.repo import tree

CASES: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).with_name("rfc5545.jsonl")).read_text().splitlines()
]
"""Rule, start, and what other implementations' own tests say comes of them (facts only):

- ``dateutil``: github.com/dateutil/dateutil, tests/test_rrule.py, commit c981f9c7aa91
- ``libical``: github.com/libical/libical, src/test/icalrecur_test.txt, commit d31d57c49aa8
- ``ical.js``: github.com/kewisch/ical.js, test/recur_iterator_test.js, commit 926193a28ed9
- ``php-rrule``: github.com/rlanvin/php-rrule, tests/RRuleTest.php, commit c42fdc9e8767
- ``rfc``: RFC 5545, section 3.8.5.3, those of its examples that go on for ever, with the dates printed there;
  the others are among the cases above

Each rule and start is there once. ``differs`` says why another reading of the RFC gives something else;
``dateutil`` marks cases that dateutil itself gets wrong (first week with BYSETPOS, plain and numbered days).
"""
START = datetime(1997, 9, 2, 9)


def got(rule: str, start: datetime, most: int, since: datetime | None = None) -> list[datetime]:
    # Cases have no zone: UNTIL is on their clock, whatever letter is behind it.
    read = replace(parse(rule), until_utc=False)
    return list(itertools.islice(occurrences(read, start, since or start, Work(5_000_000)), most))


def theirs(rule: str, start: datetime, most: int) -> list[datetime]:
    return list(itertools.islice(rrulestr(rule, dtstart=start, ignoretz=True), most))


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['source']}:{c['rule']}")
def test_public_cases(case: dict[str, Any]) -> None:
    start = datetime.fromisoformat(case["start"])
    expected = [datetime.fromisoformat(at) for at in case["gives"]]
    most = len(expected) + case["whole"]
    mine = got(case["rule"], start, most)
    assert (mine == expected) is ("differs" not in case)
    if "dateutil" not in case:
        assert mine == theirs(case["rule"], start, most)


def test_agreement_with_a_second_implementation_on_as_many_cases_as_is_said() -> None:
    agreed = sum("differs" not in case and "dateutil" not in case for case in CASES)
    assert agreed >= 500
    assert len({(c["rule"], c["start"]) for c in CASES}) == len(CASES)
    said = " ".join((tree.ROOT / "docs" / "how-to" / "calendars.md").read_text().split())
    assert f"tried on {len(CASES)} cases" in said
    assert f"in {agreed} of them dateutil" in said


def some(values: Iterable[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(list(values)), max_size=most, unique=True)


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Draw a rule on which dateutil is right: without weeks at the turn of a year, or picked first weeks."""
    freq = draw(st.sampled_from(FREQUENCIES))
    parts = {
        "BYMONTH": draw(some(range(1, 13))),
        "BYMONTHDAY": draw(some([-31, -30, -15, -1, 1, 2, 13, 28, 29, 30, 31])),
        "BYYEARDAY": draw(some([-366, -1, 1, 60, 200, 365, 366])) if freq == "YEARLY" else [],
        "BYDAY": draw(some(DAYS)),
        "BYHOUR": draw(some(range(24))),
        "BYMINUTE": draw(some([0, 1, 30, 59])),
        "BYSECOND": draw(some([0, 1, 59])),
    }
    if freq in ("YEARLY", "MONTHLY") and draw(st.booleans()):
        parts["BYDAY"] = [f"{draw(st.sampled_from([-2, -1, 1, 2, 5]))}{day}" for day in parts["BYDAY"]]
    if any(parts.values()) and freq != "WEEKLY":
        parts["BYSETPOS"] = draw(some([-2, -1, 1, 2, 3], 2))
    text = ";".join(f"{k}={','.join(map(str, v))}" for k, v in parts.items() if v)
    interval = draw(st.sampled_from([1, 2, 3, 7, 90, 1_000]))
    return f"FREQ={freq};INTERVAL={interval};WKST={draw(st.sampled_from(DAYS))};{text}".rstrip(";")


@settings(max_examples=100, deadline=None)
@given(
    rule=rules(),
    start=st.datetimes(datetime(1995, 1, 1), datetime(2005, 1, 1)).map(lambda d: d.replace(microsecond=0)),
    skipped=st.integers(1, 6),
)
def test_any_rule_gives_what_dateutil_gives_and_from_anywhere(
    rule: str, start: datetime, skipped: int
) -> None:
    try:
        mine = list(itertools.islice(occurrences(parse(rule), start, start, Work(30_000)), 8))
    except CalendarError:
        return  # rare or never: dateutil would look for it until the year 9999
    assert mine == theirs(rule, start, len(mine))
    if len(mine) == 8:
        since = mine[skipped]
        assert got(rule, start, 3, since)[: 8 - skipped] == mine[skipped : skipped + 3]
        assert got(rule, start, 1, since + timedelta(seconds=1)) == mine[skipped + 1 : skipped + 2]


def test_an_old_series_is_not_followed_from_its_start() -> None:
    work = Work()
    rule = parse("FREQ=SECONDLY;INTERVAL=7")
    found = next(occurrences(rule, datetime(1970, 1, 1), datetime(2026, 11, 25, 22), work))
    assert (found - datetime(1970, 1, 1)).total_seconds() % 7 == 0
    assert work.most - work.left < 10


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYYEARDAY=366;BYMONTH=1",
        "FREQ=SECONDLY;COUNT=999999999",
        "FREQ=DAILY;COUNT=999999999",
        "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=1",
        "FREQ=SECONDLY;INTERVAL=86400;BYHOUR=10",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=10",
    ],
)
def test_a_hostile_rule_ends_within_counted_work(rule: str) -> None:
    work = Work()
    start = datetime(1997, 9, 2, 9)
    with pytest.raises(CalendarError, match="gave up after 100,000 steps"):
        list(occurrences(parse(rule), start, start, work))
    # What is looked at in one go is counted in one go: at most the moments of a day.
    assert -86_400 <= work.left < 0


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "expected parts such as FREQ=WEEKLY"),
        ("FREQ=DAILY;", None),
        ("FREQ=FORTNIGHTLY", "FREQ must be one of YEARLY"),
        ("BYDAY=MO", "FREQ must be one of YEARLY"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20260101", "COUNT and UNTIL exclude each other"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL must be a whole number from 1"),
        ("FREQ=DAILY;COUNT=99999999999999999999", "COUNT must be a whole number from 1"),
        ("FREQ=DAILY;UNTIL=20260230", "UNTIL must be a day such as"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL must be a day such as"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR must be whole numbers from 0 to 23"),
        ("FREQ=DAILY;BYHOUR=-1", "BYHOUR must be whole numbers from 0 to 23"),
        ("FREQ=DAILY;BYMONTHDAY=0", "BYMONTHDAY must be whole numbers from -31 to 31, not 0"),
        ("FREQ=DAILY;BYMONTHDAY=1e5", "BYMONTHDAY must be whole numbers"),
        ("FREQ=DAILY;BYDAY=XX", "BYDAY must be days such as MO, 1MO or -1FR"),
        ("FREQ=WEEKLY;BYDAY=1MO", "a numbered BYDAY, such as 1MO, needs FREQ=MONTHLY or YEARLY"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "without BYWEEKNO"),
        ("FREQ=YEARLY;BYSETPOS=1", "BYSETPOS picks from what another BY part gives"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is given twice"),
        ("FREQ=DAILY;BYEASTER=0", "unknown part BYEASTER"),
        ("FREQ=DAILY;RSCALE=CHINESE", "unknown part RSCALE"),
        ("FREQ=DAILY;BYHOUR=" + "1," * 2_000, "at most 2,000 are read"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(rule: str, said: str | None) -> None:
    if said is None:
        parse(rule)
        return
    with pytest.raises(CalendarError) as caught:
        parse(rule)
    assert said in str(caught.value)


def test_until_as_a_day_is_the_whole_day() -> None:
    assert got("FREQ=DAILY;UNTIL=19970904", START, 9)[-1] == datetime(1997, 9, 4, 9)
    assert got("FREQ=DAILY;UNTIL=19970904T090000", START, 9)[-1] == datetime(1997, 9, 4, 9)
    assert got("FREQ=DAILY;UNTIL=19970904T085959", START, 9)[-1] == datetime(1997, 9, 3, 9)


def test_the_last_days_there_are() -> None:
    assert got("FREQ=WEEKLY;BYDAY=SU,MO;WKST=SU", datetime(1, 1, 1), 2) == [
        datetime(1, 1, 1),
        datetime(1, 1, 7),
    ]
    assert len(got("FREQ=WEEKLY", datetime(9999, 12, 20), 9)) == 2
    assert len(got("FREQ=HOURLY;INTERVAL=500000", datetime(9999, 12, 20), 9)) == 1
    assert len(got("FREQ=YEARLY;BYWEEKNO=52", datetime(9999, 12, 20), 99)) == 5
