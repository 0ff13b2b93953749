"""A calendar that is edited: releases in flight go by it, and those that wait look again by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins.calendars.gate import Gate
from relman_plugins.domain.event import Kind
from relman_plugins.plan.model import GATE_ARGS
from relman_plugins.reports.expected import expected
from relman_plugins.steps import housekeeping
from relman_plugins.steps.housekeeping import Housekeeper
from tests.operators.test_changing import FIRST, LAST, passed
from tests.operators.test_exceptions import PEOPLE, goes
from tests.operators.test_window_exceptions import PAST, WINDOW, both, waits
from tests.steps import world as worlds
from tests.steps.test_housekeeping import Runs
from tests.steps.world import Release, told

NOW = datetime.now(UTC).replace(microsecond=0, second=0)


def calendar(begins: float, ends: float, unless: str = "") -> str:
    start, end = (f"{NOW + timedelta(hours=n):%Y-%m-%dT%H:%M}" for n in (begins, ends))
    soft = f"\n    unless: {unless}" if unless else ""
    return f"""
apiVersion: relman/v1
kind: Calendar
metadata: {{name: company, owner: platform}}
zone: UTC
windows:
  - name: audit
    effect: deny{soft}
    once: {{from: "{start}", until: "{end}"}}
"""


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    name = "environments/production.yaml"
    more = "calendars: [company]\nwindow_timeout: 48h\non_close: hold\n"
    more += "exceptions: {approval: incident, quorum: 2, comment: required}\n"
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + more)
    monkeypatch.setitem(worlds.SPECS, "people.yaml", PEOPLE)
    monkeypatch.setitem(worlds.SPECS, "calendars/company.yaml", getattr(request, "param", calendar(-1, 8)))
    monkeypatch.setattr(housekeeping, "GRACE", timedelta(0))


def edit(release: Release, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> list[str]:
    """Write a spec; the DAG is built from it, and the house is kept. Return what was told of calendars."""
    folder = release.world.home / "specs" / "release_specs"
    monkeypatch.setitem(worlds.SPECS, name, text)
    shape = worlds.shape_in(folder)
    for task in release.world.dag.tasks:
        task.shape = shape  # type: ignore[attr-defined]
    return keep(release, folder)


def keep(release: Release, folder: Path) -> list[str]:
    done = Housekeeper(release.world.ledger, Runs(), folder).round()
    return [line for line in done if "windows of production" in line]


def company(release: Release, monkeypatch: pytest.MonkeyPatch, *closed: Any) -> list[str]:
    return edit(release, monkeypatch, "calendars/company.yaml", calendar(*closed))


def at(hours: float) -> Any:
    return time_machine.travel(NOW + timedelta(hours=hours))


def test_a_release_that_waits_looks_again_when_its_calendar_was_edited(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = waits(release.run(WINDOW))
    (said,) = company(release, monkeypatch, -1, -0.5)
    assert said.startswith(
        f"{release.id}: the windows of production are others now: no more: company: deny audit, "
    )
    assert told(waiting) == {"state": "changed"}
    assert "it stays open" in release.resume(WINDOW, waiting, {"state": "changed"})["message"]
    assert goes(release.run(FIRST)), "the spec that changed stops no step"
    assert [e.step for e in release.events(Kind.CALENDAR_CHANGED)] == [WINDOW]
    assert company(release, monkeypatch, -1, -0.5) == [], "told once"


def test_an_earlier_opening_is_waited_for_without_a_task_that_is_cleared(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = waits(release.run(WINDOW))
    company(release, monkeypatch, -1, 2)
    again = waits(release.resume(WINDOW, waiting, told(waiting)))
    assert datetime.fromisoformat(again.trigger.opens_at) == NOW + timedelta(hours=2)
    assert again.trigger.expires_at == waiting.trigger.expires_at, "its patience is as it was"
    with at(2.1):
        assert told(again) == {"state": "open"}
        assert "the window is open" in release.resume(WINDOW, again, {"state": "open"})["message"]


@pytest.mark.parametrize("specs", [calendar(-5, -4)], indirect=True)
def test_a_freeze_that_comes_into_the_calendar_holds_what_is_under_way(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    release.run(WINDOW)
    passed(release, FIRST)
    company(release, monkeypatch, -1, 3)
    waiting = waits(release.run(LAST))
    assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}
    company(release, monkeypatch, -5, -4)
    assert told(waiting) == {"state": "changed"}
    assert goes(release.resume(LAST, waiting, {"state": "changed"}))
    assert len(release.events(Kind.CALENDAR_CHANGED)) == 2, "there and back"


@pytest.mark.parametrize("specs", [calendar(-1, 8, "approved")], indirect=True)
def test_what_people_let_past_is_no_exception_from_what_was_edited_into_the_calendar(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = waits(release.run(WINDOW))
    both(release)
    company(release, monkeypatch, -1, 9, "approved")
    waits(release.resume(WINDOW, waiting, {"state": "decided"}))
    gate = release.world.ledger.votes.gate(release.id, PAST)
    assert gate is not None
    assert (gate.round, gate.state) == (2, "open")


def test_the_forecast_goes_by_the_edited_calendar(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    waits(release.run(WINDOW))
    before = expected(release.world.ledger, release.record, 0.01).forecast
    company(release, monkeypatch, -1, 2)
    after = expected(release.world.ledger, release.record, 0.01).forecast
    assert before is not None
    assert after is not None
    assert after.p05 < NOW + timedelta(hours=8) < before.p05


def test_whatever_else_is_edited_with_it_stops_the_release_as_ever(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = waits(release.run(WINDOW))
    name = "environments/production.yaml"
    monkeypatch.setitem(worlds.SPECS, "calendars/company.yaml", calendar(-1, 2))
    stricter = worlds.SPECS[name].replace("on_close: hold", "on_close: drain")
    assert edit(release, monkeypatch, name, stricter) == []
    assert release.events(Kind.CALENDAR_CHANGED) == []
    with at(8.1), pytest.raises(AirflowFailException, match="the pipeline's spec changed under the release"):
        release.resume(WINDOW, waiting, told(waiting))


@pytest.mark.parametrize("text", ["windows: [", None])
def test_a_spec_that_can_not_be_read_changes_no_calendar(release: Release, text: str | None) -> None:
    waits(release.run(WINDOW))
    folder = release.world.home / "specs" / "release_specs"
    if text is None:
        (folder / "checkout.yaml").unlink()
    else:
        (folder / "calendars" / "company.yaml").write_text(text)
    assert keep(release, folder) == []
    assert release.events(Kind.CALENDAR_CHANGED) == []


def test_what_may_be_edited_is_what_a_gate_is_made_of() -> None:
    assert set(GATE_ARGS) == set(Gate.model_fields)
