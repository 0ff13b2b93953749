"""``relman calendar check`` and ``show`` on specs, without any server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import here, relman

OK = Path(__file__).parents[1] / "spec" / "ok"
ERR = Path(__file__).parents[1] / "spec" / "err"
GUARDED = "guarded-by-calendars"


def check(*options: Any, folder: Path = OK, at: str = "2026-11-30T12:00Z") -> dict[str, Any]:
    done = here(
        "calendar", "check", "--environment", GUARDED, "--folder", folder, "--at", at, "--format", "json",
        *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert list(found) == ["open", "reasons", "next_open", "next_close"]
    return found


def test_it_is_open_until_the_nearest_closing_of_all_calendars() -> None:
    assert check() == {
        "open": True,
        "reasons": [
            "inside mon, tue, wed, thu 09:00-16:00 Europe/Berlin",
            "inside office hours of calendar company",
            "open until Mon 2026-11-30 15:00 UTC",
        ],
        "next_open": None,
        "next_close": "2026-11-30T15:00:00Z",
    }


def test_a_freeze_closes_and_what_lifts_it_is_found_behind_all_others() -> None:
    found = check("--started-by", "schedule", at="2026-12-24T12:00+01:00")
    assert found == {
        "open": False,
        "reasons": [
            "denied by year end of calendar company until Sun 2027-01-03 23:00 UTC",
            "denied by inventory (Year end) of calendar company until Sun 2027-01-03 23:00 UTC",
            "opens Mon 2027-01-04 09:00 UTC",  # the nightly batch in New York,
        ],
        "next_open": "2027-01-04T09:00:00Z",
        "next_close": None,
    }


def test_windows_are_about_actions_and_pipelines() -> None:
    friday = "2026-07-30T20:00Z"
    assert not check(at=friday)["open"]  # the environment's own hours
    offsite = "2026-09-08T08:00Z"
    assert check(at=offsite)["open"]
    (denied, _) = check("--pipeline", "calendars", at=offsite)["reasons"]
    assert denied == "denied by offsite of calendar team until Wed 2026-09-09 12:00 UTC"


@pytest.mark.parametrize("action", ["rollback", "abort", "approve"])
def test_the_way_back_is_open_whatever_is_denied(action: str) -> None:
    found = check("--action", action, "--pipeline", "calendars", at="2026-12-24T12:00Z")
    assert (found["open"], found["next_open"], found["next_close"]) == (True, None, None)
    assert found["reasons"][0].startswith("no calendar holds up a")


def test_a_promotion_is_what_the_release_of_a_later_stage_does(tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    shutil.copytree(OK, folder)
    place = folder / "environments" / f"{GUARDED}.yaml"
    place.write_text(place.read_text().split("windows:")[0] + "calendars: [company]\n")
    # The last Friday from noon on is closed for promotions only.
    friday = "2026-07-31T12:00Z"
    assert check(folder=folder, at=friday)["open"]
    assert not check("--action", "promote", folder=folder, at=friday)["open"]
    assert not check("--pipeline", "calendars", folder=folder, at=friday)["open"]
    assert check("--pipeline", "calendars", "--action", "deploy", folder=folder, at=friday)["open"]


@pytest.mark.parametrize(
    ("at", "open_", "change"),
    [
        ("2026-03-29T00:59Z", True, "2026-03-29T01:00:00Z"),  # 02:30 does not happen: closed from 03:00 on
        ("2026-10-25T00:29Z", False, "2026-10-25T00:30:00Z"),  # 02:30 happens twice
        ("2026-10-25T00:31Z", True, "2026-10-25T01:00:00Z"),
        ("2026-10-25T01:15Z", False, "2026-10-25T01:30:00Z"),
    ],
)
def test_hours_that_clocks_skip_or_repeat(tmp_path: Path, at: str, open_: bool, change: str) -> None:
    folder = tmp_path / "specs"
    shutil.copytree(OK, folder)
    place = folder / "environments" / f"{GUARDED}.yaml"
    night = 'windows: [{days: [sun], from: "02:30", to: "03:00", zone: Europe/Berlin}]\n'
    if "03-29" in at:
        night = night.replace('"02:30"', '"01:00"')
    place.write_text(place.read_text().split("windows:")[0] + night)
    found = check(folder=folder, at=at)
    assert (found["open"], found["next_close"] or found["next_open"]) == (open_, change)


def test_for_people_and_for_scripts() -> None:
    done = relman(
        "calendar", "check", "--environment", GUARDED, "--folder", OK, "--at", "2026-12-26", "--exit-code"
    )
    assert done.returncode == 1
    assert done.stdout.startswith(f"{GUARDED} is closed at Sat 2026-12-26 00:00 UTC: outside mon, tue")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--environment", "nowhere"], 2, "nowhere.yaml: no such file"),
        (["--environment", "../production"], 2, "no such file"),
        (["--environment", "qa", "--pipeline", "calendars"], 2, "pipeline calendars has no stage in qa"),
        (["--environment", GUARDED, "--at", "soon"], 2, "'soon' is no day and no time"),
        (["--environment", GUARDED, "--at", "0001-01-01"], 2, "expected a year from 1900 to 9900"),
    ],
)
def test_what_is_wrong_is_said(options: list[str], code: int, said: str) -> None:
    done = here("calendar", "check", "--folder", OK, *options)
    assert done.returncode == code
    assert said in done.stderr


def test_an_environment_that_is_wrong_is_not_open() -> None:
    done = here("calendar", "check", "--environment", "production", "--folder", ERR / "calendars")
    assert done.returncode == 1
    assert "unknown time zone" in done.stderr
    assert not done.stdout


def show(*options: Any) -> str:
    done = here(
        "calendar", "show", "--environment", GUARDED, "--folder", OK, "--from", "2026-12-14",
        "--to", "2026-12-22", *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_month_for_people() -> None:
    text = show("--zone", "Europe/Berlin")
    month, _, events = text.partition("\n\n")
    assert month.splitlines() == [
        "December 2026",
        " Mo   Tu   We   Th   Fr   Sa   Su",
        "       1    2    3    4    5    6",
        "  7    8    9   10   11   12   13",
        " 14~  15~  16~  17~  18#  19#  20#",
        " 21#  22   23   24   25   26   27",
        " 28   29   30   31",
    ]
    assert "Mon 2026-12-14 09:00 – Mon 2026-12-14 16:00  window mon, tue" in events
    assert "Fri 2026-12-18 18:00 – Mon 2027-01-04 00:00  freeze year end" in events


def test_the_same_for_programs_and_for_other_calendars() -> None:
    from icalendar import Calendar

    found = json.loads(show("--format", "json"))
    assert found["closed"][0] == {"start": "2026-12-14T00:00:00Z", "end": "2026-12-14T09:00:00Z"}
    (freeze,) = [w for w in found["windows"] if w["name"] == "year end"]
    assert freeze == {
        "calendar": "company",
        "name": "year end",
        "effect": "deny",
        "start": "2026-12-18T17:00:00Z",
        "end": "2027-01-03T23:00:00Z",
        "summary": "",
    }
    text = show("--format", "ics")
    assert text == show("--format", "ics")
    events = Calendar.from_ical(text).walk("VEVENT")
    assert len(events) == len(found["windows"])
    assert {(str(e["summary"]), str(e["transp"])) for e in events} >= {("Freeze: year end", "OPAQUE")}
    assert len({str(e["uid"]) for e in events}) == len(events)
