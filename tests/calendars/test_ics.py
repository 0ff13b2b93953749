"""iCalendar files: what happens in them, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from relman_plugins.calendars import ics
from relman_plugins.calendars.work import Work
from relman_plugins.errors import CalendarError

FROM, TO = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)


def calendar(*events: str, head: str = "") -> str:
    body = "".join(f"BEGIN:VEVENT\n{event}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{head}\n{body}END:VCALENDAR\n".replace("\n\n", "\n")


def happens(*events: str, zone: str = "", most: int = 9, transparent: bool = False) -> list[str]:
    feed = ics.read(calendar(*events), zone, transparent=transparent)
    spans = sorted(s for series in feed.series for s in series.spans(FROM, TO, Work()))
    return [f"{s.start:%m-%d %H:%M}/{s.end:%m-%d %H:%M}{' ' if s.summary else ''}{s.summary}" for s in spans][
        :most
    ]


BERLIN = ";TZID=Europe/Berlin"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(
            f"DTSTART{BERLIN}:20260328T023000\nDTEND{BERLIN}:20260328T033000\nRRULE:FREQ=DAILY;COUNT=3",
            # 02:30 is skipped on the 29th: 03:30 summer time, which is 01:30 UTC.
            ["03-28 01:30/03-28 02:30", "03-29 01:30/03-29 02:30", "03-30 00:30/03-30 01:30"],
            id="a gap",
        ),
        pytest.param(
            f"DTSTART{BERLIN}:20261024T023000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3",
            # 02:30 is there twice on the 25th: the first counts.
            ["10-24 00:30/10-24 01:30", "10-25 00:30/10-25 01:30", "10-26 01:30/10-26 02:30"],
            id="a fold",
        ),
        pytest.param(
            f"DTSTART{BERLIN}:20260328T120000\nDURATION:P1D",
            ["03-28 11:00/03-29 10:00"],
            id="a day as a length is a day on the clock",
        ),
        pytest.param(
            f"DTSTART{BERLIN}:20260328T120000\nDURATION:PT24H",
            ["03-28 11:00/03-29 11:00"],
            id="24 hours as a length are 24 hours",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20280229\nRRULE:FREQ=YEARLY;COUNT=1",
            ["02-29 00:00/03-01 00:00"],
            id="leap day",
        ),
        pytest.param(
            "DTSTART:20260105T100000Z\nDTEND:20260105T110000Z\nRRULE:FREQ=WEEKLY;COUNT=4\n"
            "EXDATE:20260112T100000Z,20260119T100000Z\nRDATE:20260113T090000Z",
            ["01-05 10:00/01-05 11:00", "01-13 09:00/01-13 10:00", "01-26 10:00/01-26 11:00"],
            id="exceptions and additions",
        ),
        pytest.param(
            "DTSTART:20260105T100000Z\nRDATE;VALUE=PERIOD:20260106T100000Z/PT2H,20260107T100000Z/20260107T103000Z\n"
            "DTEND:20260105T110000Z",
            ["01-05 10:00/01-05 11:00", "01-06 10:00/01-06 12:00", "01-07 10:00/01-07 10:30"],
            id="additions of their own length",
        ),
        pytest.param(
            f"DTSTART{BERLIN}:20260105T100000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20260106",
            ["01-05 09:00/01-05 10:00", "01-07 09:00/01-07 10:00"],
            id="a day as an exception",
        ),
        pytest.param(
            f"DTSTART{BERLIN}:20260105T100000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260106T090000Z",
            ["01-05 09:00/01-05 10:00", "01-06 09:00/01-06 10:00"],
            id="until a time in UTC, included",
        ),
        pytest.param(
            f"DTSTART{BERLIN}:20260105T100000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260106",
            ["01-05 09:00/01-05 10:00", "01-06 09:00/01-06 10:00"],
            id="until a day, included",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=DAILY;UNTIL=20260106T000000Z",
            ["01-05 00:00/01-06 00:00", "01-06 00:00/01-07 00:00"],
            id="until a time for days",
        ),
        pytest.param("DTSTART:20260105T100000Z", ["01-05 10:00/01-05 10:00"], id="no time at all"),
        pytest.param(
            "DTSTART:20260105T100000Z\nRRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=2\nDURATION:PT1H",
            ["01-05 10:00/01-05 11:00", "01-06 10:00/01-06 11:00"],
            id="the start counts as the first",
        ),
        pytest.param(
            'DTSTART;TZID="W. Europe Standard Time":20260705T100000\nDURATION:PT1H',
            ["07-05 08:00/07-05 09:00"],
            id="a zone by its name in Windows",
        ),
        pytest.param(
            "DTSTART;TZID=/freeassociation.sourceforge.net/Europe/Berlin:20260705T100000\nDURATION:PT1H",
            ["07-05 08:00/07-05 09:00"],
            id="a zone below a vendor's path",
        ),
        pytest.param(
            "DTSTART:20260105T100000Z\nDURATION:PT1H\nSUMMARY:Inventory\\, all \n shops",
            ["01-05 10:00/01-05 11:00 Inventory, all shops"],
            id="a folded line",
        ),
    ],
)
def test_what_happens(event: str, expected: list[str]) -> None:
    assert happens(event) == expected


def test_times_without_a_zone_and_days_are_in_the_zone_asked_for_or_the_files_own() -> None:
    event = "DTSTART:20260705T100000\nDURATION:PT1H"
    assert happens(event) == ["07-05 10:00/07-05 11:00"]
    assert happens(event, zone="Asia/Tokyo") == ["07-05 01:00/07-05 02:00"]
    assert happens("DTSTART;VALUE=DATE:20260329", zone="Europe/Berlin") == ["03-28 23:00/03-29 22:00"]
    own = calendar(event, head="X-WR-TIMEZONE:America/New_York")
    assert ics.read(own).zone == "America/New_York"
    assert ics.read(own, "Asia/Tokyo").zone == "Asia/Tokyo"


SERIES = "UID:1\nDTSTART:20260105T100000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nSUMMARY:all"


def test_one_occurrence_is_moved_or_called_off() -> None:
    moved = "UID:1\nRECURRENCE-ID:20260106T100000Z\nDTSTART:20260110T120000Z\nDURATION:PT1H\nSUMMARY:moved"
    called_off = "UID:1\nRECURRENCE-ID:20260107T100000Z\nDTSTART:20260107T100000Z\nSTATUS:CANCELLED"
    # Wherever in the file the changes stand.
    assert happens(called_off, moved, SERIES) == [
        "01-05 10:00/01-05 11:00 all",
        "01-10 12:00/01-10 13:00 moved",
    ]


def test_the_newest_copy_counts() -> None:
    newer = SERIES.replace("COUNT=3", "COUNT=1") + "\nSEQUENCE:2"
    assert happens(newer, SERIES) == ["01-05 10:00/01-05 11:00 all"]
    off = "UID:1\nDTSTART:20260105T100000Z\nSTATUS:CANCELLED\nSEQUENCE:3"
    change = "UID:1\nRECURRENCE-ID:20260106T100000Z\nDTSTART:20260110T120000Z\nDURATION:PT1H"
    assert happens(off, newer, SERIES, change) == []


def test_what_blocks_no_time_is_left_out_unless_asked_for() -> None:
    birthday = "DTSTART;VALUE=DATE:20260105\nTRANSP:TRANSPARENT"
    assert happens(birthday) == []
    assert ics.read(calendar(birthday)).transparent == 1
    assert happens(birthday, transparent=True) == ["01-05 00:00/01-06 00:00"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a whole calendar"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101T000000Z", "not a whole calendar"),
        ("BEGIN:VCALENDAR\nEND:VEVENT", "END:VEVENT ends nothing"),
        (calendar("SUMMARY:x"), "event 'x': it has no DTSTART"),
        (calendar("DTSTART:tomorrow"), "'tomorrow' is no day and no time"),
        (calendar("DTSTART:20260230T000000Z"), "is no day and no time"),
        (calendar("DTSTART;TZID=Mars/Olympus:20260101T000000"), "unknown time zone 'Mars/Olympus'"),
        (calendar("DTSTART;TZID=../../etc/passwd:20260101T000000"), "unknown time zone"),
        (calendar("DTSTART:20260102T000000Z\nDTEND:20260101T000000Z"), "it ends before it starts"),
        (
            calendar("DTSTART:20260102T000000Z\nDTEND;VALUE=DATE:20260103"),
            "must both be days, or both be times",
        ),
        (calendar("DTSTART:20260102T000000Z\nDURATION:-PT1H"), "is no length of time"),
        (calendar("DTSTART:20260102T000000Z\nEXRULE:FREQ=DAILY"), "EXRULE is no part"),
        (calendar("DTSTART:20260102T000000Z\nRRULE:FREQ=NEVER"), "FREQ must be one of"),
        (calendar("DTSTART:20260102T000000Z\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "gave up after"),
        (calendar("DTSTART:20260102T000000Z\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), "gave up after"),
        (
            calendar(
                SERIES, "UID:1\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260106T100000Z\nDTSTART:20260106T100000Z"
            ),
            "split the series in two",
        ),
        (calendar(*["DTSTART:20260102T000000Z"] * 2_001), "more than 2,000 events"),
        (calendar("DTSTART:20260102T000000Z\nSUMMARY:" + "x" * 1_000_000), "larger than 1,000,000 bytes"),
    ],
)
def test_what_can_not_be_followed_is_said(text: str, said: str) -> None:
    with pytest.raises(CalendarError) as caught:
        ics.read(text)
    assert said in str(caught.value)


def test_a_files_own_zone_is_not_followed_whatever_is_in_it() -> None:
    zone = "BEGIN:VTIMEZONE\nTZID:Mine\nBEGIN:STANDARD\nRRULE:FREQ=SECONDLY\nEND:STANDARD\nEND:VTIMEZONE"
    with pytest.raises(CalendarError, match="unknown time zone 'Mine'"):
        ics.read(calendar("DTSTART;TZID=Mine:20260101T000000", head=zone))


def test_every_second_for_ever_ends_within_counted_work() -> None:
    feed = ics.read(calendar("DTSTART:20200101T000000Z\nDURATION:PT1S\nRRULE:FREQ=SECONDLY;INTERVAL=30"))
    one = feed.series[0]
    assert len(one.spans(FROM, FROM.replace(minute=1), Work())) == 2
    with pytest.raises(CalendarError, match="gave up after"):
        one.spans(FROM, TO, Work())
