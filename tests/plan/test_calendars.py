"""Calendars in plans: what a release waits for, in words, and what a change of them means."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.diff import diff, render_text
from relman_plugins.plan.model import Shape, Step
from relman_plugins.plan.words import describe
from relman_plugins.spec.api import load_pipeline

OK = Path(__file__).parents[1] / "spec" / "ok"
ENVIRONMENT, COMPANY, TEAM, FILE = (
    "environments/guarded-by-calendars.yaml",
    "calendars/company.yaml",
    "calendars/team.yaml",
    "calendars/stock/inventory.ics",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(OK, tmp_path / "specs")
    return tmp_path / "specs"


def shape(folder: Path) -> Shape:
    loaded = load_pipeline(folder / "calendars.yaml")
    assert loaded.documents is not None, loaded.diagnostics
    return compile_shape(loaded.documents)


def window(shape: Shape) -> Step:
    return shape.step("guarded-by-calendars.window")


def test_what_is_waited_for_is_said_in_one_line(folder: Path) -> None:
    found = shape(folder)
    assert describe(found, window(found)) == (
        "waits for mon-thu 09:00-16:00 Europe/Berlin and for calendar company (only office hours; "
        "not nightly batch, last Friday [promote], year end [started by a schedule], public holidays, "
        "inventory) and for calendar team (not offsite), at most 14d"
    )


def test_a_plan_has_only_what_is_about_its_release(folder: Path) -> None:
    team = folder / TEAM
    team.write_text(team.read_text().replace("tier: critical", "tier: low"))
    assert [c["name"] for c in window(shape(folder)).args["calendars"]] == ["company"]
    assert window(shape(folder)).args["actions"] == ["deploy", "promote"]
    assert all(s.environment != "staging" for s in shape(folder).steps if s.kind == "window")


DANGERS = [
    (COMPANY, 'to: "24:00"', 'to: "18:00"', "company: allow office hours, mon-fri 09:00-24:00 Europe/Berlin"),
    (COMPANY, "for: 90m", "for: 1m", "company: deny nightly batch, cron 30 2 * * MON-FRI America/New_York"),
    (COMPANY, "BYDAY=-1FR", "BYDAY=1FR", "company: deny last Friday [promote], 2026-01-01 12:00:00"),
    (
        COMPANY,
        "subdivision: BE",
        "subdivision: BY",
        "company: deny public holidays, public holidays of DE-",
    ),
    (COMPANY, "2027-01-04}", "2027-01-03}", "company: deny year end [started by a schedule], 2026-12-18"),
    (COMPANY, "country: DE", "country: AT", "a window or freeze is another, or gone"),
    (FILE, "20270104", "20261222", "company: deny inventory, 2 events, "),
    (
        COMPANY,
        "windows:",
        'windows:\n  - {name: always, effect: allow, weekly: {days: [mon], from: "00:00", to: "24:00"}}',
        "company: allow always, mon 00:00-24:00",
    ),
    (ENVIRONMENT, "calendars: [company]", "on_close: hold", ""),
    (ENVIRONMENT, '"16:00"', '"17:00"', "(changes at other hours: look at which)"),
]


@pytest.mark.parametrize(("file", "old", "new", "said"), DANGERS)
def test_other_times_are_another_plan_and_are_shown_as_a_danger(
    folder: Path, file: str, old: str, new: str, said: str
) -> None:
    before = shape(folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    if "country" in old:
        (folder / file).write_text(text.replace("country: DE, subdivision: BE", "country: AT"))
    after = shape(folder)
    assert before.hash != after.hash
    found = render_text(diff(before, after))
    assert said in found
    # The policy asks for the calendar too: nothing is lost without the environment's own.
    assert ("! guarded-by-calendars.window" in found) is bool(said), found


def test_a_change_that_goes_on_after_its_window_is_a_danger(folder: Path) -> None:
    place = folder / ENVIRONMENT
    after = shape(folder)
    place.write_text(place.read_text() + "on_close: drain\n")
    before = shape(folder)
    said = "on_close: drain -> none (a change goes on after its window has closed)"
    assert said in render_text(diff(before, after))
    assert "! " not in render_text(diff(after, before))
