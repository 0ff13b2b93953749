"""A gate whose rules depend on the risk: what its task does, asks and tells, and whose weights count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.domain.risk import RiskPolicy
from relman_plugins.domain.status import Decision
from relman_plugins.reports.telling import sentence
from relman_plugins.steps.housekeeping import Housekeeper
from relman_plugins.triggers.analysis import AnalysisTrigger
from tests.clients.test_git import Source
from tests.operators.test_assess import shipped
from tests.operators.test_break_glass import GATE
from tests.steps import world as worlds
from tests.steps.world import Release, Shows, World

FIRST = "production.canary_50"
PEOPLE = """
apiVersion: relman/v1
kind: People
people:
  alice: {airflow: alice, name: Alice}
  bob: {airflow: bob, name: Bob, email: bo@example.org}
groups: {managers: [alice, bob], board: [bob]}
"""
PIPELINES = "gates: [{rules: [{approval: [alice]}, {approval: board, when: risk >= medium}]}]"
ALONE = "gates: [{approval: managers, when: risk >= medium}]"
OWNERS = """
gates:
  - {approval: board, when: risk >= medium}
assess:
  risk: {medium: 10, high: 20}
"""


@pytest.fixture
def written() -> tuple[str, str]:
    """The gates of the pipeline's last stage, and what the environment's owner adds."""
    return PIPELINES, ""


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: tuple[str, str]) -> None:
    monkeypatch.setenv("AIRFLOW__RELMAN__SPECS_FOLDER", str(tmp_path / "relman" / "specs" / "release_specs"))
    gate = "gates: [{approval: managers, timeout: 30m, on_timeout: reject}]"
    pipeline = worlds.SPECS["checkout.yaml"].replace("suites:\n", "assess: {paths: [app]}\nsuites:\n", 1)
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", pipeline.replace(gate, written[0]))
    name = "environments/production.yaml"
    monkeypatch.setitem(worlds.SPECS, name, worlds.SPECS[name] + written[1])
    monkeypatch.setitem(worlds.SPECS, "people.yaml", PEOPLE)


@pytest.fixture
def source(world: World) -> Source:
    made = Source(world.home / "specs" / "examples" / "checkout")
    made.commit("First", app__a_dot_py="one\n")
    made.tag("v1.0.0")
    shipped(world, "1.0.0", "before")
    return made


def released(world: World, source: Source, **files: str) -> Release:
    """A release of these files that has been assessed and stands before its gate."""
    source.commit("More", **files)
    source.tag("v1.1.0")
    world.live("1.0.0")
    release = world.open().finished("open")
    release.run("assess")
    return release.at_the_gate()


def yes(world: World, release: Release, user: str) -> None:
    said = world.ledger.votes.cast(release.id, GATE, airflow_user=user, decision=Decision.APPROVE, via="cli")
    assert said.accepted, said.reason


def test_a_low_risk_asks_no_board_and_the_question_says_so(
    world: World, source: Source, comms: list[Any]
) -> None:
    release = released(world, source, app__a_dot_py="two\n")
    waiting = release.run(GATE)
    assert isinstance(waiting, TaskDeferred)
    asked = world.ledger.votes.gate(release.id, GATE)
    assert asked is not None
    assert [p.id for p in asked.people] == ["alice"]
    body = comms[-1].body
    assert "**Not asked for, by the risk of this release:**" in body
    assert "1 of board: low risk (0 points), and it is asked only if risk >= medium" in body.replace("\\", "")
    yes(world, release, "alice")
    release.resume(GATE, waiting, {"state": "approved"})
    assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


def test_whom_no_rule_asks_yet_is_on_airflows_list_and_refused_with_the_reason(
    world: World, source: Source, comms: list[Any]
) -> None:
    """Airflow keeps its first list, and the rule comes back when another version is live."""
    release = released(world, source, app__a_dot_py="two\n")
    release.run(GATE)
    assert [u.id for u in comms[-1].assigned_users] == ["alice", "bob"]
    for decision in Decision:
        said = world.ledger.votes.cast(release.id, GATE, airflow_user="bob", decision=decision, via="airflow")
        assert (said.accepted, said.code) == (False, "not_entitled")
        assert "not asked for: 1 of board: low risk (0 points)" in said.reason
    shipped(world, "1.2.0", "between")
    assert isinstance(release.run(GATE, try_number=2), TaskDeferred)
    said = world.ledger.votes.cast(
        release.id, GATE, airflow_user="bob", decision=Decision.REJECT, via="airflow"
    )
    assert said.accepted, said.reason


def test_a_medium_risk_asks_both_and_says_why(world: World, source: Source, comms: list[Any]) -> None:
    release = released(world, source, app__migrations__1_dot_sql="x\n")
    waiting = release.run(GATE)
    assert [u.id for u in comms[-1].assigned_users] == ["alice", "bob"]
    assert "asked for if risk >= medium" in comms[-1].body
    yes(world, release, "alice")
    yes(world, release, "bob")
    release.resume(GATE, waiting, {"state": "approved"})
    assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


def test_when_another_version_is_live_by_now_nobody_is_left_out(
    world: World, source: Source, comms: list[Any]
) -> None:
    release = released(world, source, app__a_dot_py="two\n")
    shipped(world, "1.2.0", "between")
    waiting = release.run(GATE)
    assert [u.id for u in comms[-1].assigned_users] == ["alice", "bob"]
    [event] = release.events(Kind.CHANGE_OUTDATED)
    assert (event.environment, event.data) == ("production", {"assessed": "1.0.0", "live": "1.2.0"})
    assert sentence(event).startswith("1.2.0 is live there by now, and the change was compared with 1.0.0")
    yes(world, release, "alice")
    release.finished(GATE)
    with pytest.raises(AirflowFailException, match=r"gate production\.approval is open, not approved"):
        release.run(FIRST)
    yes(world, release, "bob")
    release.resume(GATE, waiting, {"state": "approved"})
    assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


@pytest.mark.parametrize("written", [(ALONE, "")])
def test_a_gate_that_asks_nobody_is_passed_with_its_reason(
    world: World, source: Source, comms: list[Any]
) -> None:
    release = released(world, source, app__a_dot_py="two\n")
    said = "not needed: 1 of managers: low risk (0 points), and it is asked only if risk >= medium"
    assert release.run(GATE)["message"] == said
    assert comms == []
    assert Housekeeper(world.ledger, Shows(GATE)).find_bypasses() == []
    assert [e.step for e in release.events(Kind.GATE_NOT_NEEDED)] == [GATE]
    assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


@pytest.mark.parametrize("written", [(ALONE, "")])
def test_a_gate_marked_green_before_its_task_could_look_is_a_bypass(world: World, source: Source) -> None:
    release = released(world, source, app__a_dot_py="two\n")
    assert len(Housekeeper(world.ledger, Shows(GATE)).find_bypasses()) == 1
    with pytest.raises(AirflowFailException, match="passed in Airflow without a decision"):
        release.run(FIRST)


@pytest.mark.parametrize("written", [(ALONE, "")])
def test_a_gate_that_asked_nobody_and_is_cleared_looks_again_at_what_would_ship(
    world: World, source: Source, comms: list[Any]
) -> None:
    release = released(world, source, app__a_dot_py="two\n")
    release.run(GATE)
    assert release.run(GATE, try_number=2) is None
    release.says(Kind.ARTIFACT_BUILT, "build", revision=world.revisions["1.0.0"].model_dump(mode="json"))
    assert "not needed" in release.run(GATE, try_number=3)["message"]
    assert len(release.events(Kind.GATE_NOT_NEEDED)) == 2


@pytest.mark.parametrize("written", [(ALONE, "")])
def test_a_release_that_nobody_has_assessed_is_asked_about(world: World, comms: list[Any]) -> None:
    world.live("1.0.0")
    release = world.open().finished("open", "assess").at_the_gate()
    assert isinstance(release.run(GATE), TaskDeferred)
    assert [u.id for u in comms[-1].assigned_users] == ["alice", "bob"]


LOOSE = "assess: {paths: [app], migrations: [], risk: {medium: 999, high: 1000}}"


@pytest.mark.parametrize("written", [("gates: []", OWNERS)])
def test_no_pipeline_chooses_what_the_owner_of_an_environment_weighs(
    monkeypatch: pytest.MonkeyPatch, world: World, source: Source, comms: list[Any]
) -> None:
    """Neither by its weights, nor by looking elsewhere, nor by what it takes for a migration."""
    from relman_plugins.plan.compile import compile_shape
    from relman_plugins.spec.api import load_pipeline

    folder = world.home / "specs" / "release_specs"
    spec = folder / "checkout.yaml"
    spec.write_text(spec.read_text().replace("assess: {paths: [app]}", LOOSE))
    loaded = load_pipeline(spec)
    assert loaded.documents is not None, loaded.diagnostics
    world.shape = compile_shape(loaded.documents)
    world.dag = worlds.build_dag(world.shape, {})
    release = released(world, source, elsewhere__migrations__1_dot_sql="x\n")
    [event] = release.events(Kind.CHANGE_ASSESSED)
    assert event.data["risk"] == "low"
    owners = event.data["environments"]["production"]
    assert (owners["risk"], owners["changes"]["head_by"]) == ("high", "the checkout that is built")
    assert {c["factor"] for c in owners["contributions"]} >= {"migrations", "configuration"}
    assert isinstance(release.run(GATE), TaskDeferred)
    assert [u.id for u in comms[-1].assigned_users] == ["bob"]
    assert "**By the weights of `production`: high risk \\(40 points\\)**" in comms[-1].body


@pytest.mark.parametrize("written", [("gates: []", OWNERS)])
def test_the_owners_own_weights_can_leave_a_rule_out(world: World, source: Source, comms: list[Any]) -> None:
    release = released(world, source, app__a_dot_py="two\n")
    assert "low risk (0 points) by the weights of production" in release.run(GATE)["message"]
    assert "by the weights of production: low risk" in release.events(Kind.STEP_FINISHED)[1].data["message"]


def test_an_owner_believes_those_addresses_of_repositories_only_that_are_listed() -> None:
    from relman_plugins.operators.assess import _is_believed
    from relman_plugins.plan.model import Weighing

    mine = Weighing(repositories=("https://git.example/shop/*",), migrations=(), risk=RiskPolicy())
    assert _is_believed("https://git.example/shop/checkout.git", mine)
    for other in ("https://git.example.evil/shop/x", "https://git.example/other/x", "../shop", "*"):
        assert not _is_believed(other, mine)


REFUSES = "gates: [{approval: managers}]"


@pytest.mark.parametrize(
    "written",
    [("gates: []", REFUSES), ("gates: []", f"{REFUSES}\nassess: {{}}"), (REFUSES, "")],
    ids=["the environment asks", "and looks itself", "the pipeline asks"],
)
def test_an_author_is_known_though_the_pipeline_looks_elsewhere(
    world: World, source: Source, comms: list[Any]
) -> None:
    source.commit("More", "Bo <bo@example.org>", elsewhere__b_dot_py="x\n")
    source.commit("Allowed", app__a_dot_py="two\n")
    source.tag("v1.1.0")
    world.live("1.0.0")
    release = world.open().finished("open")
    release.run("assess")
    [event] = release.events(Kind.CHANGE_ASSESSED)
    assert [a["email"] for a in event.data["authors"]] == ["ann@example.org"]
    release.at_the_gate()
    assert isinstance(release.run(GATE), TaskDeferred)
    said = {"decision": Decision.APPROVE, "via": "cli"}
    refused = world.ledger.votes.cast(release.id, GATE, airflow_user="bob", **said)
    assert (refused.code, "bob wrote commits in it" in refused.reason) == ("own_release", True)
    assert world.ledger.votes.cast(release.id, GATE, airflow_user="alice", **said).accepted
