"""The first step: what a release was started with is checked, stored, and shown to whoever approves it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from relman_plugins.domain.event import Kind
from relman_plugins.steps.subjects import body_of, subject_of
from tests.steps.world import Release, TaskInstance, World

GIVEN = {
    "version": "1.1.0",
    "changes": "New **prices**",
    "ticket": "https://tracker.example/CHG-42",
    "emergency": True,
    "emergency_reason": "payments are down",
    "dry_run": False,
}


def started(world: World, given: dict[str, Any]) -> Release:
    ti = TaskInstance(world.dag.dag_id, "run-1", 1, world.xcom, task_id="open")
    run = SimpleNamespace(run_type="manual", triggering_user_name="carol")
    world.dag.get_task("open").execute({"ti": ti, "params": given, "dag_run": run})
    record = world.ledger.release_of_run(ti.dag_id, ti.run_id)
    assert record is not None
    return Release(world, record, world.revisions[record.version])


def test_the_ledger_has_what_the_release_was_started_with(world: World) -> None:
    release = started(world, GIVEN)
    assert release.record.conf == GIVEN
    (opened,) = release.events(Kind.RELEASE_OPENED)
    assert {key: opened.data[key] for key in GIVEN} == GIVEN
    assert opened.actor.id == "carol"


def test_a_starter_is_found_in_people_by_the_name_that_airflow_tells(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = world.home / "specs" / "release_specs"
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", str(folder))
    people = folder / "people.yaml"
    known = 'people: {c: {airflow: "17", username: carol, slack: U0C}, '
    people.write_text(people.read_text().replace("people: {", known, 1))
    assert started(world, GIVEN).events(Kind.RELEASE_OPENED)[0].actor.slack == "U0C"


def test_an_approver_is_shown_all_of_it(world: World) -> None:
    release = started(world, GIVEN).at_the_gate()
    run = release.task("production.approval").start(release.context("production.approval"))
    subject = subject_of(run)
    release.run("production.approval")
    gate = world.ledger.votes.gate(release.id, "production.approval")
    assert gate is not None
    body = body_of(run, gate, run.plan.people("production.approval"), 1)
    assert "EMERGENCY" in body
    for text in (
        "> payments are down",
        r"New \*\*prices\*\*",
        "**Ticket:** <https://tracker.example/CHG-42>",
    ):
        assert text in body
    assert {key: subject[key] for key in ("ticket", "emergency_reason")} == {
        "ticket": GIVEN["ticket"],
        "emergency_reason": GIVEN["emergency_reason"],
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"emergency_reason": ""}, "an emergency needs a reason"),
        ({"emergency": False}, "emergency is off"),
        ({"version": "1/0"}, "is not a version"),
        ({"ticket": "see the wiki"}, "is not a ticket"),
    ],
)
def test_nothing_is_opened_when_a_field_is_wrong(world: World, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(AirflowFailException, match=said):
        started(world, GIVEN | wrong)
    assert world.ledger.releases() == []


def test_who_started_it_can_be_called_in_slack_when_people_yaml_knows_them(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", str(tmp_path))
    (tmp_path / "people.yaml").write_text(
        "apiVersion: relman/v1\nkind: People\npeople: {carol: {airflow: carol, slack: U01CAROL}}\n"
    )
    assert started(world, GIVEN).record.started_by.slack == "U01CAROL"


def test_a_broken_people_yaml_holds_no_release(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", str(tmp_path))
    (tmp_path / "people.yaml").write_text("people: [")
    assert started(world, GIVEN).record.started_by.slack == ""
