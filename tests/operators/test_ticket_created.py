"""A ticket that a release creates: once, whatever is lost, and told what became of the release."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.ledger.api import Line
from relman_plugins.testing import jira, servicenow
from relman_plugins.testing.jira import JiraServer
from relman_plugins.testing.servicenow import ServiceNowServer
from relman_plugins.testing.tickets_server import html
from relman_plugins.triggers.deliver import deliver
from relman_plugins.triggers.ticket import TicketTrigger
from relman_plugins.triggers.waits import SoakTrigger
from tests.steps import world as worlds
from tests.steps.world import Release, World

TICKET, GATE, FIRST = "production.ticket", "production.approval", "production.canary_50"
SNOW = """{system: servicenow, report: close, create: {fields: {assignment_group: Payments},
      planned: {for: 4h}}}"""
JIRA = """{system: jira, state: [Awaiting implementation, Implementing], report: close,
      create: {project: OPS, options: {customfield_10060: Standard}, planned: {after: 1s, for: 4h}}}"""


def use(monkeypatch: pytest.MonkeyPatch, terms: str) -> None:
    text = worlds.SPECS["checkout.yaml"].replace("gates: [", f"gates: [{{change_ticket: {terms}}}, ")
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)


def connect(monkeypatch: pytest.MonkeyPatch, name: str, url: str, login: str, password: str) -> None:
    connection = {"conn_type": name, "host": url, "login": login, "password": password}
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


@pytest.fixture
def snow(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceNowServer]:
    use(monkeypatch, SNOW)
    with ServiceNowServer() as server:
        connect(monkeypatch, "relman_servicenow", server.url, servicenow.USER, servicenow.PASSWORD)
        yield server


@pytest.fixture
def release(snow: ServiceNowServer, world: World) -> Release:
    world.live("1.0.0")
    return world.open(changes="Rounds prices up.").at_the_gate()


def waits(result: Any, kind: type) -> Any:
    assert isinstance(result, TaskDeferred)
    assert isinstance(result.trigger, kind)
    return result.trigger


LATER = count(10, 10)


def told(release: Release, system: str) -> Any:
    """Deliver what the ticket is to be told, each time later than whatever pause there is."""
    line = Line(f"ticket:{system}", f"relman_{system}")
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=next(LATER))):
        return deliver(lambda: release.world.ledger, line)


def test_a_change_is_created_with_what_people_need_and_then_waited_for(
    release: Release, snow: ServiceNowServer
) -> None:
    waiting = release.run(TICKET)
    waits(waiting, TicketTrigger)
    (record,) = snow.records
    assert record["short_description"] == "Release checkout 1.1.0 to production"
    assert "Rounds prices up." in record["description"]
    assert release.id in record["description"]
    assert (record["type"], record["assignment_group"]) == ("normal", "Payments")
    assert record["cmdb_ci"] == "checkout"
    planned = [datetime.fromisoformat(record[f"{name}_date"]) for name in ("start", "end")]
    assert planned[1] - planned[0] == timedelta(hours=4)
    assert release.events(Kind.TICKET_CREATED)[0].data["number"] == record["number"]
    assert "is not approved yet" in release.events(Kind.TICKET_WAITED)[0].data["why"]
    record.update(state="-2", approval="approved")
    release.resume(TICKET, waiting, {"state": "changed"})
    asking = release.run(GATE)
    assert isinstance(asking, TaskDeferred)
    subject = release.events(Kind.GATE_OPENED)[0].data["subject"]
    assert subject["ticket"] == record["number"]
    release.vote(GATE)
    release.resume(GATE, asking, {"state": "approved"})
    assert release.run(FIRST).trigger.serialize()[0].endswith("AnalysisTrigger")


def test_an_answer_that_was_lost_creates_no_second_change(release: Release, snow: ServiceNowServer) -> None:
    snow.lost = [html(504)]
    waits(release.run(TICKET), SoakTrigger)
    assert len(snow.records) == 1
    assert release.events(Kind.TICKET_CREATED) == []
    waits(release.run(TICKET, try_number=2), TicketTrigger)
    assert len(snow.records) == 1
    assert release.events(Kind.TICKET_CREATED)[0].data["number"] == snow.records[0]["number"]


def test_a_request_that_was_lost_is_sent_again_only_when_it_is_surely_over(
    release: Release, snow: ServiceNowServer
) -> None:
    snow.always = html(503)
    waiting = release.run(TICKET)
    waits(waiting, SoakTrigger)
    snow.always = None
    waits(release.resume(TICKET, waiting, {"state": "over"}), SoakTrigger)
    assert snow.records == []
    assert (
        "it is not known yet whether ServiceNow created" in release.events(Kind.TICKET_WAITED)[-1].data["why"]
    )
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=3)):
        waits(release.resume(TICKET, waiting, {"state": "over"}), TicketTrigger)
    assert len(snow.records) == 1


def test_what_the_system_does_not_take_is_said_and_masked(release: Release, snow: ServiceNowServer) -> None:
    body = {"error": {"message": f"Data Policy: category is mandatory {servicenow.PASSWORD} a@b.example"}}
    snow.always = (400, {}, json.dumps(body).encode())
    waits(release.run(TICKET), SoakTrigger)
    why = release.events(Kind.TICKET_WAITED)[0].data["why"]
    assert "it does not take what was sent" in why
    assert "category is mandatory" in why
    assert servicenow.PASSWORD not in why
    assert "a@b.example" not in why


@pytest.mark.parametrize("field", ["correlation_id", "state"])
def test_an_account_that_may_not_write_what_is_written_is_found_out(
    release: Release, snow: ServiceNowServer, field: str
) -> None:
    snow.readonly = {field}
    waiting = release.run(TICKET)
    if field == "correlation_id":
        why = release.events(Kind.TICKET_WAITED)[-1].data["why"]
        assert "did not take its correlation_id; give the connection's account the right" in why
        return
    (change,) = snow.records
    change.update(state="-2", approval="approved")
    release.resume(TICKET, waiting, {"state": "changed"})
    release.approved()
    release.run(FIRST)
    told(release, "servicenow")
    (backlog,) = release.world.ledger.outbox.backlog()
    assert "did not take its state" in str(backlog)


def test_an_unknown_configuration_item_creates_nothing(release: Release, snow: ServiceNowServer) -> None:
    snow.items.clear()
    waits(release.run(TICKET), SoakTrigger)
    assert "no configuration item called 'checkout'" in release.events(Kind.TICKET_WAITED)[0].data["why"]
    assert snow.records == []


def test_a_ticket_that_was_given_is_used_and_none_created(snow: ServiceNowServer, world: World) -> None:
    release = world.open(ticket="CHG0000007").at_the_gate()
    with pytest.raises(AirflowFailException, match="has no ticket CHG0000007"):
        release.run(TICKET)
    assert snow.wrote() == []


def test_the_change_is_told_each_thing_once_and_closed_with_the_outcome(
    release: Release, snow: ServiceNowServer
) -> None:
    waiting = release.run(TICKET)
    (record,) = snow.records
    number = record["number"]
    record.update(state="-2", approval="approved")
    release.resume(TICKET, waiting, {"state": "changed"})
    release.approved()
    going = release.run(FIRST)
    assert told(release, "servicenow").sent == 1
    assert record["state"] == "-1"
    (note,) = snow.notes[number]
    assert "1.1.0" in note
    release.says(Kind.ANALYSIS_FINISHED, FIRST, analysis="numbers", verdict="pass", reason="good")
    release.resume(FIRST, going, {"verdict": "pass"})
    release.says(Kind.RELEASE_CLOSED, key=f"{release.id}:closed", outcome="succeeded", reason="all is well")
    # The answers to a note and to a state are lost: each is done, once.
    snow.lost = [html(504)]
    assert told(release, "servicenow").failed == 1
    assert told(release, "servicenow").sent == 1
    assert record["state"] == "3"
    assert record["close_code"] == "successful"
    assert "succeeded" in record["close_notes"]
    assert len(snow.notes[number]) == len(set(snow.notes[number]))
    assert sum("is closed" in note for note in snow.notes[number]) == 1


def test_a_system_that_is_down_holds_up_no_end_and_hears_of_it_later(
    release: Release, snow: ServiceNowServer
) -> None:
    release.run(TICKET)
    snow.always = (401, {}, b"{}")
    release.says(Kind.RELEASE_CLOSED, key=f"{release.id}:closed", outcome="rejected", reason="no")
    for _ in range(12):
        told(release, "servicenow")
    (backlog,) = release.world.ledger.outbox.backlog()
    assert (backlog.pending, backlog.given_up) == (1, 0)
    assert "does not take the connection's login" in str(backlog.error)
    snow.always = None
    assert told(release, "servicenow").sent == 1
    # Nothing was changed, and relman created it: it is cancelled.
    assert snow.records[0]["state"] == "4"
    assert len(snow.notes[snow.records[0]["number"]]) == 1


def test_a_change_that_somebody_else_made_is_not_cancelled(snow: ServiceNowServer, world: World) -> None:
    record = snow.change("CHG0000007")
    release = world.open(ticket="CHG0000007").at_the_gate()
    release.run(TICKET)
    release.says(Kind.RELEASE_CLOSED, key=f"{release.id}:closed", outcome="rejected", reason="no")
    assert told(release, "servicenow").sent == 1
    assert record["state"] == "-2"
    assert len(snow.notes["CHG0000007"]) == 1


def test_an_issue_in_jira_is_created_once_and_goes_through_its_statuses(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    use(monkeypatch, JIRA)
    with JiraServer() as site:
        connect(monkeypatch, "relman_jira", site.url, jira.USER, jira.PASSWORD)
        world: World = request.getfixturevalue("world")
        world.live("1.0.0")
        release = world.open().at_the_gate()
        site.lost = [html(504)]
        waiting = release.run(TICKET)
        waits(waiting, SoakTrigger)
        # The index does not know it yet, so nothing is concluded from not finding it.
        waits(release.resume(TICKET, waiting, {"state": "over"}), SoakTrigger)
        assert list(site.issues) == ["OPS-1"]
        site.index()
        waits(release.resume(TICKET, waiting, {"state": "over"}), TicketTrigger)
        assert list(site.issues) == ["OPS-1"]
        fields = site.issues["OPS-1"]
        assert fields["summary"] == "Release checkout 1.1.0 to production"
        assert fields["components"] == [{"name": "checkout"}]
        assert fields["customfield_10060"] == {"value": "Standard"}
        assert fields["customfield_10050"] < fields["customfield_10051"]
        site.approvals["OPS-1"], fields["status"] = ["approved"], jira.status_of("Awaiting implementation")
        assert "OPS-1" in release.resume(TICKET, waiting, {"state": "changed"})["message"]
        release.approved()
        with time_machine.travel(datetime.now(UTC) + timedelta(seconds=5)):
            release.run(FIRST)
        told(release, "jira")
        assert fields["status"]["name"] == "Implementing"
        release.says(Kind.RELEASE_CLOSED, key=f"{release.id}:closed", outcome="rolled_back", reason="bad")
        site.lost = [html(504)]
        told(release, "jira")
        told(release, "jira")
        assert fields["status"]["name"] == "Failed"
        assert len(site.comments["OPS-1"]) == 2
