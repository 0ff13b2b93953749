"""A release is assessed against what is live: by its Git history, its plan, and how the last one ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.steps.subjects import body_of, subject_of
from tests.clients.git_http import LOGIN, GitServer
from tests.clients.test_git import Source
from tests.clients.trackers import Trackers
from tests.steps import world as worlds
from tests.steps.world import Release, World


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", str(tmp_path / "relman" / "specs" / "release_specs"))
    text = worlds.SPECS["checkout.yaml"].replace("suites:\n", "assess: {}\nsuites:\n", 1)
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)


@pytest.fixture
def source(world: World) -> Source:
    """The repository that the artifact's source lies in, with what is live tagged."""
    made = Source(world.home / "specs" / "examples" / "checkout")
    made.commit("First", requirements_dot_txt="httpx==0.27\n")
    made.tag("v1.0.0")
    return made


def shipped(world: World, version: str, run_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> Release:
    """A release of before, as the record tells of it."""
    release = world.open(version, run_id).finished("open", "assess", "build")
    stable = release.artifact.model_dump(mode="json") if outcome is Outcome.SUCCEEDED else None
    if stable:
        release.says(Kind.CHANGE_FINISHED, "production.canary_100", stable=stable, promoted=True)
    release.says(Kind.RELEASE_CLOSED, "close", outcome=outcome.value, reason="")
    return release


def assessed(release: Release) -> dict[str, Any]:
    [event] = release.events(Kind.CHANGE_ASSESSED)
    return event.data


def factors(release: Release) -> dict[str, int]:
    return {c["factor"]: c["points"] for c in assessed(release)["contributions"]}


def test_what_changed_since_the_live_version_is_weighed_and_recorded_once(
    world: World, source: Source
) -> None:
    shipped(world, "1.0.0", "before")
    source.commit("OPS-7 New client", "Bo <bo@example.org>", requirements_dot_txt="httpx==0.28\n")
    source.commit("Move data", migrations__2_dot_sql="x\n")
    source.tag("v1.1.0")
    release = world.open().finished("open")
    said = release.run("assess")["message"]
    assert said.startswith("medium risk (40 points): ")
    assert "httpx 0.27 → 0.28 (requirements.txt) (+10)" in said
    data = assessed(release)
    assert (data["risk"], data["points"]) == ("medium", 40)
    assert [a["email"] for a in data["authors"]] == ["ann@example.org", "bo@example.org"]
    assert data["changes"]["issues"] == ["OPS-7"]
    source.commit("Later", more_dot_txt="x")
    release.run("assess", try_number=2)
    assert assessed(release) == data


def test_the_approval_shows_it_and_is_bound_to_it(world: World, source: Source) -> None:
    shipped(world, "1.0.0", "before")
    source.commit("A [link](https://evil.example) in a subject", app_dot_py="x\n")
    release = world.open().finished("open")
    release.run("assess")
    release.at_the_gate()
    task = release.task("production.approval")
    run = task.start(release.context("production.approval"))
    subject = subject_of(run)
    assert subject["assessment"]["headline"] == "low risk (5 points)"
    release.run("production.approval")
    gate = world.ledger.votes.gate(release.id, "production.approval")
    assert gate is not None
    body = body_of(run, gate, run.plan.people("production.approval"), 1)
    assert "**Risk: low risk \\(5 points\\)**" in body
    assert "no tag ties the version to a commit" in body
    assert "[link](" not in body


def test_what_cannot_be_found_out_is_a_risk_and_no_error(world: World) -> None:
    shipped(world, "1.0.0", "before")
    release = world.open().finished("open")
    assert "no Git history could be read" in release.run("assess")["message"]
    assert factors(release) == {"unknown_history": 30}


def test_the_first_release_has_nothing_to_be_compared_with(world: World, source: Source) -> None:
    release = world.open("1.0.0").finished("open")
    release.run("assess")
    assert factors(release) == {"first_release": 20}


def test_the_commit_on_record_counts_even_without_a_tag(world: World, source: Source) -> None:
    first = world.open("1.0.0", "before").finished("open")
    first.run("assess")
    first.finished("build")
    first.says(
        Kind.CHANGE_FINISHED,
        "production.canary_100",
        stable=first.artifact.model_dump(mode="json"),
        promoted=True,
    )
    from dulwich import porcelain

    porcelain.tag_delete(str(source.path), b"v1.0.0")
    source.commit("More", app_dot_py="x\n")
    release = world.open(run_id="now").finished("open")
    release.run("assess")
    assert assessed(release)["changes"]["commit_count"] == 1


def test_another_release_of_the_live_version_says_nothing_of_what_is_live(
    world: World, source: Source
) -> None:
    first = world.open("1.0.0", "before").finished("open")
    first.run("assess")
    first.finished("build")
    stable = first.artifact.model_dump(mode="json")
    first.says(Kind.CHANGE_FINISHED, "production.canary_100", stable=stable, promoted=True)
    first.says(Kind.RELEASE_CLOSED, "close", outcome="succeeded", reason="")
    source.commit("Move data", migrations__2_dot_sql="x\n")
    again = world.open("1.0.0", "again").finished("open")
    again.run("assess")
    again.finished("build").says(Kind.RELEASE_CLOSED, "close", outcome="aborted", reason="")
    release = world.open().finished("open")
    release.run("assess")
    assert assessed(release)["changes"]["migrations"] == ["migrations/2.sql"]


def test_how_the_last_release_ended_and_an_emergency_count(world: World, source: Source) -> None:
    shipped(world, "1.0.0", "before")
    shipped(world, "1.2.0", "bad", Outcome.ROLLED_BACK)
    source.tag("v1.1.0")
    release = world.open(emergency=True, emergency_reason="now").finished("open")
    release.run("assess")
    assert factors(release) == {"last_failed": 15, "emergency": 15}


def test_a_plan_that_guards_less_than_the_live_one_counts(world: World, source: Source) -> None:
    shipped(world, "1.0.0", "before")
    source.tag("v1.1.0")
    steps = tuple(
        s.model_copy(update={"args": s.args | {"for_s": 1}}) if s.id == "production.monitor" else s
        for s in world.shape.steps
    )
    world.shape = world.shape.model_copy(update={"steps": steps})
    world.dag = worlds.build_dag(world.shape, {})
    release = world.open().finished("open")
    release.run("assess")
    assert factors(release) == {"weaker_plan": 20}


def test_a_dry_run_assesses_too(world: World, source: Source) -> None:
    release = world.open(dry_run=True).finished("open")
    assert "medium risk" in release.run("assess")["message"]
    assert assessed(release)["risk"] == "medium"


def with_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pipeline ask a Jira behind the connection ``jira``."""
    source = "assess: {defects: {tracker: jira, connection: jira}}\n"
    text = worlds.SPECS["checkout.yaml"].replace("assess: {}\n", source)
    assert source in text
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)


@pytest.fixture
def jira(monkeypatch: pytest.MonkeyPatch, specs: None) -> Iterator[Trackers]:
    with_defects(monkeypatch)
    with Trackers() as made:
        said = {"conn_type": "http", "host": made.url, "login": "bot", "password": "secret"}
        monkeypatch.setenv("AIRFLOW_CONN_JIRA", json.dumps(said))
        yield made


def test_defects_that_commits_name_and_are_open_count_and_are_named(
    jira: Trackers, world: World, source: Source
) -> None:
    shipped(world, "1.0.0", "before")
    jira.jira("OPS-7", "The cart is empty")
    jira.jira("OPS-8", category="done")
    source.commit("OPS-7 and OPS-8: half of it", app_dot_py="x\n")
    source.tag("v1.1.0")
    release = world.open().finished("open")
    assert "still open: OPS-7 The cart is empty (+15)" in release.run("assess")["message"]
    assert factors(release) == {"open_defects": 15}


def test_more_issues_than_are_looked_at_are_not_known(jira: Trackers, world: World, source: Source) -> None:
    shipped(world, "1.0.0", "before")
    jira.jira("OPS-7")
    source.commit(" ".join(f"#{n}" for n in range(1, 301)) + " OPS-7", app_dot_py="x\n")
    source.tag("v1.1.0")
    release = world.open().finished("open")
    assert "301 issues are named; 101 of them were not looked at" in release.run("assess")["message"]


@pytest.mark.parametrize("broken", [500, "connection"])
def test_defects_that_can_not_be_asked_about_are_a_risk_and_hold_up_nothing(
    monkeypatch: pytest.MonkeyPatch, jira: Trackers, world: World, source: Source, broken: Any
) -> None:
    shipped(world, "1.0.0", "before")
    if broken == 500:
        jira.broken = broken
    else:
        monkeypatch.delenv("AIRFLOW_CONN_JIRA")
    source.commit("OPS-7: more", app_dot_py="x\n")
    source.tag("v1.1.0")
    release = world.open().finished("open")
    assert "open defects are not known: " in release.run("assess")["message"]
    assert factors(release) == {"unknown_defects": 10}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, specs: None, tmp_path: Path) -> Iterator[GitServer]:
    """A Git server that wants a login, whose repository the pipeline names."""
    (tmp_path / "served").mkdir()
    with GitServer(tmp_path / "served") as made:
        made.login = LOGIN
        host = {"conn_type": "http", "host": "127.0.0.1", "schema": "http", "port": made.port}
        monkeypatch.setenv("AIRFLOW_CONN_GIT", json.dumps(host | {"login": "bot", "password": "secret"}))
        monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(tmp_path / "home"))
        where = f"assess: {{repository: {made.url}/checkout, connection: git}}\n"
        text = worlds.SPECS["checkout.yaml"].replace("assess: {}\n", where)
        monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)
        yield made


def test_a_repository_elsewhere_is_signed_in_to_and_read(
    elsewhere: GitServer, world: World, tmp_path: Path
) -> None:
    source = Source(tmp_path / "served" / "checkout")
    source.commit("First", app_dot_py="1\n")
    source.tag("v1.0.0")
    source.commit("Data", migrations__1_dot_sql="x\n")
    source.tag("v1.1.0")
    shipped(world, "1.0.0", "before")
    release = world.open().finished("open")
    assert "medium risk (30 points): migrations/1.sql" in release.run("assess")["message"]
    elsewhere.stop()
    other = world.open(run_id="later").finished("open")
    assert "can't be asked now (no answer); this is how it was at" in other.run("assess")["message"]
    assert factors(other) == {"migrations": 30, "unknown_history": 30}
