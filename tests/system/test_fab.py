"""relman on an Airflow with FAB's auth manager: users in tables, whose ids are numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from relman_plugins.notifications.buttons import APPROVE
from tests.cli.command import relman
from tests.system import fab, slack
from tests.system.conftest import Run, World, running
from tests.system.fab import IDS
from tests.system.voting import API, Story

SLACK = {user: f"U0{n}{user.upper()}" for user, n in IDS.items()}
PEOPLE = f"""apiVersion: relman/v1
kind: People
people:
{"".join(f'  {u}: {{airflow: "{IDS[u]}", username: {u}, slack: {SLACK[u]}}}{chr(10)}' for u in IDS)}groups:
  managers: [admin, alice, bob, carol, olaf, vera]
  incident: [olaf]
  board: [alice, olaf]
"""
STAGES = {
    "signed": """
    gates: [{approval: managers, quorum: 3, timeout: 1h}]
    strategy: {canary: {steps: [50, 100], analysis: calm, interval: 1s, count: 2}}
analyses: {calm: {connection: relman_metrics, metrics: [{name: errors, query: vector(0), max: 0.05}]}}""",
    "glass": "",
}
GLASS = """gates: [{approval: managers, timeout: 1h, waivable: true}]
break_glass: {
    group: incident, audience: {slack: "#releases"}, follow_up: {approval: board, within: 1h}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, bases: tuple[str, dict[str, str]]) -> Iterator[World]:
    repo = tmp_path_factory.mktemp("fab")
    (repo / "release_specs" / "environments").mkdir(parents=True)
    (repo / "release_specs" / "people.yaml").write_text(PEOPLE)
    for name, stage in STAGES.items():
        (repo / "release_specs" / f"{name}.yaml").write_text(
            f"apiVersion: relman/v1\nkind: ReleasePipeline\nmetadata: {{name: {name}, owner: tests}}\n"
            "artifact: {source: ../checkout, build: [python, build.py]}\n"
            f'notify: {{slack: "#rel-checkout"}}\nstages:\n  - environment: {name}{stage}\n'
        )
        (repo / "release_specs" / "environments" / f"{name}.yaml").write_text(
            f"apiVersion: relman/v1\nkind: Environment\nmetadata: {{name: {name}, owner: tests}}\n"
            "platform: sandbox\nconnection: relman_sandbox\nreplicas: 1\n" + GLASS * (name == "glass")
        )
    users, (ledger, extra) = fab.USERS, bases
    with running(repo, fab.SETTINGS | extra, ledger, users, sign_up=lambda s: fab.sign_up(s, users)) as found:
        yield found


def at_a_terminal(world: World, user: str, *args: str) -> tuple[int, str]:
    """Run ``relman`` as somebody who gives name and password."""
    login = {"RELMAN_URL": world.stack.addresses.airflow, "RELMAN_USER": user, "RELMAN_PASSWORD": user}
    done = relman(*args, **login)
    return done.returncode, done.stdout + done.stderr


def released(world: World, user: str, pipeline: str, *more: str) -> Run:
    code, said = at_a_terminal(world, user, "release", pipeline, "1.1.0", *more, "--format", "json")
    assert code == 0, said
    started = json.loads(said)
    return Run(world, started["dag_id"], started["run_id"], started["release_id"])


@pytest.fixture(scope="module")
def emergency(world: World) -> Run:
    """Started by the one who may break the glass; goes on by itself while others answer elsewhere."""
    return released(world, "olaf", "glass", "--emergency", "the shop is down")


@pytest.fixture(scope="module")
def story(world: World, emergency: Run) -> Story:
    """A release that alice has started, with its gate open."""
    world.found("signed", "signed")
    run = released(world, "alice", "signed")
    run.until("gate.opened")
    return Story(run, "signed.approval")


def test_people_are_told_apart_by_their_numbers_and_known_by_their_names(world: World, story: Story) -> None:
    run, gate = story.run, story.gate
    own = "started it, and nobody approves their own release"
    story.refused("api", "alice", 403, own)
    story.refused("page", "alice", 403, own)
    slack.press(run, gate, SLACK["alice"], APPROVE)
    slack.told(run, SLACK["alice"], own)
    story.refused("page", "vera", 403, "")
    story.refused("api", "vera", 403, "may not change releases")
    slack.press(run, gate, SLACK["vera"], APPROVE)
    slack.told(run, SLACK["vera"], "may not change releases of release__signed")
    assert story.voters() == []


def test_whose_rights_or_account_are_gone_is_refused_at_once(world: World, story: Story) -> None:
    """FAB itself still takes them for what they were, for half a minute after each request."""
    story.approved("api", "carol")
    assert world.call("carol", "DELETE", story.votes, comment="wait")[0] == 200
    fab.change(world.admin, "PATCH", "/carol?update_mask=roles", roles=[{"name": "Viewer"}])
    slack.press(story.run, story.gate, SLACK["carol"], APPROVE)
    slack.told(story.run, SLACK["carol"], "may not change releases of release__signed")
    story.refused("page", "carol", 403, "may not change releases of release__signed")
    fab.deactivate(world.stack, "carol")
    slack.press(story.run, story.gate, SLACK["carol"], APPROVE)
    slack.told(story.run, SLACK["carol"], f"Airflow has no active user '{IDS['carol']}' any more")
    assert story.say("api", "carol")[0] in (401, 403)
    assert story.state().missing == 3


def test_all_roads_to_a_vote_lead_on(world: World, story: Story) -> None:
    """From Slack, on Airflow's page and in a terminal: a User, an Op and an Admin."""
    slack.press(story.run, story.gate, SLACK["bob"], APPROVE)
    story.approved("page", "olaf")
    code, said = at_a_terminal(world, "admin", "approve", story.run.release_id, "--yes")
    assert code == 0, said
    assert story.run.outcome() == "succeeded"
    assert sorted(story.voters()) == [
        ("admin", "cli"),
        ("bob", "slack"),
        ("carol", "api"),
        ("olaf", "airflow"),
    ]
    assert story.state().counts == dict.fromkeys(("admin", "bob", "olaf"), "managers")


def test_the_glass_is_broken_by_who_is_known_by_name_and_paid_for_by_somebody_else(
    world: World, emergency: Run
) -> None:
    assert emergency.outcome() == "succeeded"
    (waived,) = emergency.events("gate.waived")
    assert (waived.actor.id, [p["id"] for p in waived.data["reviewers"]]) == ("olaf", ["alice"])
    debt = Story(emergency, "glass.break_glass")
    debt.refused("api", "olaf", 403, "started it")
    debt.approved("api", "alice")
    assert world.call("alice", "GET", f"{API}/gates?debts=true") == (200, {"gates": []})


def test_the_doctor_says_who_is_signed_in_and_that_users_can_be_looked_up(world: World) -> None:
    code, said = at_a_terminal(world, "admin", "doctor")
    assert code == 0, said
    assert "as admin" in said
    assert "this Airflow is asked what a person may do" in said
    code, said = at_a_terminal(world, "nobody", "doctor")
    assert (code, "refused user 'nobody': Invalid credentials" in said) == (3, True), said


def test_a_report_and_a_picture_come_after_fabs_own_login(world: World, story: Story) -> None:
    assert story.run.outcome() == "succeeded"
    page = f"{API}/releases/{story.run.release_id}"
    with fab.browser(world.stack) as browser:
        asked = browser.get(f"{page}/report?format=html", follow_redirects=True)
        assert "/auth/login/" in str(asked.url)
        shown = fab.fill_in(browser, asked, "vera")
        assert (shown.status_code, shown.url.path) == (200, f"{page}/report"), shown.text[:500]
        assert story.run.release_id in shown.text
        picture = browser.get(f"{page}/pictures/signed.canary_50.svg")
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
