"""``relman calendar`` on files, without any server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import relman

ICS = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
UID:1
DTSTART;TZID=Europe/Berlin:20260328T233000
DTEND;TZID=Europe/Berlin:20260329T013000
RRULE:FREQ=DAILY;COUNT=2
SUMMARY:Inventory
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20260328
TRANSP:TRANSPARENT
SUMMARY:Birthday
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture
def ics(tmp_path: Path) -> Path:
    (file := tmp_path / "ops.ics").write_text(ICS)
    return file


def test_a_file_is_expanded_in_utc(ics: Path) -> None:
    done = relman("calendar", "expand", ics, "--from", "2026-03-01", "--to", "2026-04-01", "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == [
        {"start": "2026-03-28T22:30:00Z", "end": "2026-03-29T00:30:00Z", "summary": "Inventory"},
        {"start": "2026-03-29T21:30:00Z", "end": "2026-03-29T23:30:00Z", "summary": "Inventory"},
    ]
    assert "left out: 1 that block no time" in done.stderr


def test_a_file_is_expanded_for_people(ics: Path) -> None:
    done = relman(
        "calendar", "expand", ics, "--from", "2026-03-28T23:00+01:00", "--to", "2026-03-29",
        "--format", "text", "--transparent", "--zone", "Europe/Berlin",
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "Fri 2026-03-27 23:00 – Sat 2026-03-28 23:00 UTC  Birthday",
        "Sat 2026-03-28 22:30 – Sun 2026-03-29 00:30 UTC  Inventory",
    ]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("FREQ=SECONDLY", "gave up after 100,000 steps"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "gave up after 100,000 steps"),
        ("FREQ=SECONDLY;COUNT=999999999", "gave up after 100,000 steps"),
        ("FREQ=SOMETIMES", "FREQ must be one of"),
    ],
)
def test_a_hostile_file_ends_in_a_message(ics: Path, rule: str, said: str) -> None:
    ics.write_text(ICS.replace("FREQ=DAILY;COUNT=2", rule))
    done = relman("calendar", "expand", ics, "--from", "2027-01-01", "--to", "2028-01-01")
    assert done.returncode == 1
    assert said in done.stderr


def test_wrong_options_and_files_are_named(ics: Path) -> None:
    done = relman("calendar", "expand", ics, "--from", "tomorrow", "--to", "2026-01-01")
    assert (done.returncode, "--from: 'tomorrow' is no day" in done.stderr) == (2, True)
    done = relman("calendar", "expand", ics, "--from", "2026-01-01", "--to", "2026-01-01")
    assert (done.returncode, "is not before --to" in done.stderr) == (2, True)
    done = relman("calendar", "expand", ics.parent / "no.ics", "--from", "2026-01-01", "--to", "2026-02-01")
    assert (done.returncode, "no.ics: no such file" in done.stderr) == (2, True)
