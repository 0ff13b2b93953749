"""Stories of what a change is known to be: its commits, its risk, its ticket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relman_plugins.testing.jira import JiraServer, status_of
from relman_plugins.testing.servicenow import PASSWORD, ServiceNowServer
from tests.clients.test_git import Source
from tests.system.conftest import Run, World, slack_transcript
from tests.system.voting import API, Story
from tests.waiting import eventually


def write_history(folder: Path) -> None:
    """Make a repository in which Bob has written what 1.1.0 has and 1.0.0 hasn't."""
    source = Source(folder)
    source.commit("First", app_dot_py="one\n")
    source.tag("v1.0.0")
    source.commit("New prices", "Bob Example <bob@shop.example>", app_dot_py="two\n")
    source.tag("v1.1.0")


def by_risk(world: World, name: str) -> None:
    """What the change is found to be decides who is asked: the board of a risky one, nobody of a calm one."""
    if name == "calm":
        run = world.start(name)
        assert run.outcome() == "succeeded"
        [passed] = run.events("gate.not_needed")
        assert passed.data["rules"][0]["when"] == "risk >= medium"
        assert not {"gate.opened", "gate.bypassed"} & set(run.kinds())
        status, shown = world.call("vera", "GET", f"{API}/releases/{run.release_id}")
        assert (status, shown["gates"]) == (200, [])
        return
    story = Story.begin(world, name)
    story.approved("page", "bob")
    assert [rule.group for rule in story.state().lacking] == ["board"]
    story.approved("api", "carol")
    assert story.state().counts == {"bob": "managers", "carol": "board"}
    assert story.run.outcome() == "succeeded"


def authored(world: World) -> None:
    """Whoever wrote commits in it does not approve it; all who are asked see what the commits are."""
    first = Story.begin(world, "authored", "1.0.0")
    first.approved("api", "bob")
    assert first.run.outcome() == "succeeded"
    story = Story.begin(world, "authored")
    (assessed,) = story.run.events("change.assessed")
    assert [c["subject"] for c in assessed.data["changes"]["commits"]] == ["New prices"]
    asked = eventually(
        lambda: world.admin.required_action(story.run.dag_id, story.run.run_id, story.gate), "its text"
    )
    assert "New prices" in asked["body"]
    assert "Bob Example" in asked["body"]
    story.refused("page", "bob", 403, "wrote commits in it")
    story.refused("api", "bob", 403, "wrote commits in it")
    story.approved("api", "alice")
    assert story.run.outcome() == "succeeded"
    assert [who for who, _ in story.voters()] == ["alice"]
    eventually(lambda: "New prices" in str(slack_transcript(world)), "what changed, in Slack")


def ticketed(world: World, snow: ServiceNowServer) -> None:
    """A change is created, waited for, told of the release and closed; nobody's click is its approval."""
    run = world.start("ticketed")
    run.until("ticket.waited")
    run.parked("ticketed.ticket")
    change = _change(snow, run)
    assert "change.started" not in run.kinds()
    change.update(state="-2", approval="approved")
    assert run.outcome() == "succeeded"
    eventually(lambda: change["state"] == "3", "the end of the change")
    assert change["close_code"] == "successful"
    _, said = world.call("vera", "GET", f"{API}/health")
    connections = {"relman_servicenow": True, "relman_jira": True}
    assert {t["connection"]: t["ok"] for t in said["tickets"]} == connections
    assert PASSWORD not in str(world.ledger.events(run.release_id))


def _change(snow: ServiceNowServer, run: Run) -> Any:
    number = run.events("ticket.created")[0].data["number"]
    return next(change for change in snow.records if change["number"] == number)


def undone(world: World, snow: ServiceNowServer) -> None:
    """The change of a release that went back is closed as unsuccessful."""
    world.found("undone", "undone")
    run = world.start("undone")
    run.until("ticket.waited")
    change = _change(snow, run)
    change.update(state="-2", approval="approved")
    assert run.outcome() == "rolled_back"
    eventually(lambda: change["state"] == "3", "the end of the change")
    assert change["close_code"] == "unsuccessful"
    seen = world.seen("undone", "undone")
    assert (seen.stable and seen.stable.revision.version, seen.candidate) == ("1.0.0", None)


def in_jira(world: World, site: JiraServer) -> None:
    """The same with an issue in Jira, by its statuses."""
    run = world.start("issued")
    run.until("ticket.waited")
    (key,) = site.issues
    fields = site.issues[key]
    assert "change.started" not in run.kinds()
    site.approvals[key], fields["status"] = ["approved"], status_of("Awaiting implementation")
    assert run.outcome() == "succeeded"
    eventually(lambda: fields["status"]["name"] == "Completed", "the end of the change")
