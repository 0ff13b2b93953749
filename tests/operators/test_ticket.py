"""A release and its change ticket in ServiceNow: waited for, looked at again before anything changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.reports.telling import sentence
from relman_plugins.testing import jira
from relman_plugins.testing.jira import JiraServer
from relman_plugins.testing.servicenow import PASSWORD, USER, ServiceNowServer
from relman_plugins.testing.tickets_server import Answer, html
from relman_plugins.triggers.analysis import AnalysisTrigger
from relman_plugins.triggers.ticket import PAUSE_S, REJECTED_PAUSE_S, TicketTrigger
from relman_plugins.triggers.waits import SoakTrigger
from tests.steps import world as worlds
from tests.steps.world import Release, World

NUMBER, TICKET, GATE = "CHG0030001", "production.ticket", "production.approval"
FIRST, SECOND = "production.canary_50", "production.canary_100"
TERMS = "{system: servicenow, state: [scheduled, Implement], timeout: 2h}"


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = worlds.SPECS["checkout.yaml"].replace("gates: [", f"gates: [{{change_ticket: {TERMS}}}, ")
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)


@pytest.fixture
def snow(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceNowServer]:
    with ServiceNowServer() as server:
        connection = {"conn_type": "relman_servicenow", "host": server.url, "login": USER}
        monkeypatch.setenv("AIRFLOW_CONN_RELMAN_SERVICENOW", json.dumps(connection | {"password": PASSWORD}))
        yield server


def text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def planned(start_h: float = -1, end_h: float = 1) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "start_date": text(now + timedelta(hours=start_h)),
        "end_date": text(now + timedelta(hours=end_h)),
    }


@pytest.fixture
def release(world: World, snow: ServiceNowServer) -> Release:
    world.live("1.0.0")
    return world.open(ticket=NUMBER).at_the_gate()


def waits(result: Any) -> TicketTrigger:
    assert isinstance(result, TaskDeferred)
    assert isinstance(result.trigger, TicketTrigger)
    return result.trigger


def news(trigger: TicketTrigger) -> Any:
    """Run the trigger to its event, as a triggerer does: made again from what was stored, but at once."""
    _, arguments = trigger.serialize()

    async def first() -> Any:
        async for event in TicketTrigger(**arguments | {"minimum_s": 0.0, "pause_s": 0.05}).run():
            return event.payload
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(first())


def test_a_ticket_that_will_do_lets_the_release_go_on_and_approvers_see_it(
    release: Release, snow: ServiceNowServer, comms: list[Any]
) -> None:
    change = snow.change(NUMBER, **planned())
    said = release.run(TICKET)["message"]
    assert said.startswith(f"{NUMBER} is scheduled, approved, planned 20")
    assert said.endswith(" UTC, for checkout")
    asking = release.run(GATE)
    assert isinstance(asking, TaskDeferred)
    body = next(m.body for m in comms if getattr(m, "body", ""))
    assert "**Change ticket**, looked at again before anything changes" in body
    assert "CHG0030001 is scheduled" in body
    assert change["sys_id"] in body
    release.vote(GATE)
    release.resume(GATE, asking, {"state": "approved"})
    assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)
    subject = release.events(Kind.GATE_OPENED)[0].data["subject"]
    assert subject["ticket"] == NUMBER
    assert "scheduled" not in json.dumps(subject)
    status = release.world.ledger.status(release.id)
    assert [(t.gate, t.number, t.lacks) for t in status.tickets] == [(TICKET, NUMBER, ())]
    looked = sentence(release.events(Kind.TICKET_CHECKED)[0])
    assert looked.startswith(f"looked at the ticket: {NUMBER} is scheduled")


def test_what_no_waiting_will_change_fails_the_step(release: Release, snow: ServiceNowServer) -> None:
    with pytest.raises(AirflowFailException) as caught:
        release.run(TICKET)
    assert str(caught.value) == f"ServiceNow has no ticket {NUMBER} that relman's account can see"
    change = snow.change(NUMBER, **planned())
    for changed, said in (
        ({"state": "3"}, f"{NUMBER} is closed: it has ended"),
        ({"state": "-2", "approval": "rejected"}, f"{NUMBER} was rejected"),
        ({"approval": "approved", "cmdb_ci": "billing"}, f'{NUMBER} is for "billing", expected "checkout"'),
    ):
        change.update(changed)
        with pytest.raises(AirflowFailException) as caught:
            release.run(TICKET)
        assert str(caught.value) == said


def test_what_may_come_is_waited_for(release: Release, snow: ServiceNowServer) -> None:
    change = snow.change(NUMBER, **planned() | {"approval": "requested", "state": "-3"})
    waiting = release.run(TICKET)
    trigger = waits(waiting)
    change.update(approval="approved")
    assert news(trigger) == {"state": "changed"}
    again = waits(release.resume(TICKET, waiting, {"state": "changed"}))
    assert [e.data["why"] for e in release.events(Kind.TICKET_WAITED)] == [
        f"{NUMBER} is not approved yet; {NUMBER} is in state authorize, expected scheduled or implement",
        f"{NUMBER} is in state authorize, expected scheduled or implement",
    ]
    change.update(state="-1")
    assert news(again) == {"state": "changed"}
    done = release.resume(TICKET, waiting, {"state": "changed"})
    assert done["message"].startswith(f"{NUMBER} is implement, approved, planned")


def test_a_system_that_can_not_be_understood_is_waited_for_and_lets_nothing_through(
    release: Release, snow: ServiceNowServer
) -> None:
    change = snow.change(NUMBER, **planned())
    answers: tuple[tuple[Answer, str, float], ...] = (
        ((401, {}, b"{}"), "answered 401: it does not take the connection's login", REJECTED_PAUSE_S),
        ((429, {"Retry-After": "200"}, b"{}"), "answered 429: it gets too many requests", 200),
        ((500, {}, b"<script>words-of-the-server</script>"), "(127.0.0.1) answered 500", PAUSE_S),
        (html(), "answered with text/html, expected ServiceNow's JSON", PAUSE_S),
        ((200, {}, b"{}"), "has result 'None', which is not understood", PAUSE_S),
        ((200, {}, b'{"result": "x"}' + b" " * (1 << 20)), "with more than 1 MB", REJECTED_PAUSE_S),
    )
    for answer, said, pause in answers:
        snow.always = answer
        waiting = release.run(TICKET)
        assert waits(waiting).pause_s == pause
        assert said in release.events(Kind.TICKET_WAITED)[-1].data["why"]
    recorded = json.dumps([e.data for e in release.events()], default=str)
    assert "words-of-the-server" not in recorded
    assert PASSWORD not in recorded
    with pytest.raises(AirflowFailException, match="nothing goes past it"):
        release.run(GATE)
    snow.always = None
    assert news(waits(waiting)) == {"state": "changed"}
    assert change["number"] in release.resume(TICKET, waiting, {"state": "changed"})["message"]


def test_without_the_connection_nothing_goes_on(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_RELMAN_SERVICENOW")
    waits(release.run(TICKET))
    told = release.events(Kind.TICKET_WAITED)[0].data["why"]
    assert "cannot read connection 'relman_servicenow' of ServiceNow" in told
    assert "create it in Airflow (type relman ServiceNow), or name another in the gate" in told


def test_what_stays_so_is_recorded_once_and_given_up_in_the_end(
    release: Release, snow: ServiceNowServer
) -> None:
    change = snow.change(NUMBER, **planned(end_h=48) | {"approval": "requested"})
    waiting = release.run(TICKET)
    again = waits(release.resume(TICKET, waiting, {"state": "over"}))
    assert again.expires_at == waits(waiting).expires_at
    change["state"] = "-4"
    last = waits(release.resume(TICKET, waiting, {"state": "changed"}))
    assert len(release.events(Kind.TICKET_WAITED)) == 2
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2, seconds=1)):
        assert news(last) == {"state": "over"}
        with pytest.raises(
            AirflowFailException, match="waited 2h for the ticket: CHG0030001 is not approved"
        ):
            release.resume(TICKET, waiting, {"state": "over"})


def test_each_wait_has_its_own_time(release: Release, snow: ServiceNowServer) -> None:
    change = approved(release, snow, **planned(start_h=72, end_h=96))
    snow.always = html(503)
    waiting = release.run(FIRST)
    waits(waiting)
    snow.always = None
    release.resume(FIRST, waiting, {"state": "changed"})
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=72, seconds=1), tick=True):
        snow.always = html(503)
        waits(release.resume(FIRST, waiting, {"state": "over"}))
        snow.always = None
        change["state"] = "-1"
        assert isinstance(release.resume(FIRST, waiting, {"state": "changed"}).trigger, AnalysisTrigger)


def test_a_task_that_is_cleared_waits_anew(release: Release, snow: ServiceNowServer) -> None:
    snow.change(NUMBER, **planned(end_h=48) | {"approval": "requested"})
    waiting = release.run(TICKET)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3), tick=True):
        with pytest.raises(AirflowFailException, match="waited 2h for the ticket"):
            release.resume(TICKET, waiting, {"state": "over"})
        waits(release.run(TICKET, try_number=2))


def test_an_abort_ends_the_wait(release: Release, snow: ServiceNowServer) -> None:
    snow.change(NUMBER, **planned() | {"approval": "requested"})
    waiting = release.run(TICKET)
    release.person(Kind.ABORT_REQUESTED)
    assert news(waits(waiting)) == {"state": "aborted"}
    with pytest.raises(AirflowFailException, match="asked to abort"):
        release.resume(TICKET, waiting, {"state": "aborted"})


def approved(release: Release, snow: ServiceNowServer, **fields: str) -> dict[str, str]:
    """Let the ticket be good and people approve, and return the ticket."""
    change = snow.change(NUMBER, **planned() | fields)
    release.run(TICKET)
    release.approved()
    return change


def test_a_step_that_is_run_alone_asks_again_and_is_refused(release: Release, snow: ServiceNowServer) -> None:
    change = approved(release, snow)
    good = dict(change)
    for changed, said in (
        ({"state": "3"}, "is closed: it has ended"),
        ({"approval": "rejected"}, "was rejected"),
        ({"approval": "requested"}, "is not approved yet"),
        ({"state": "0"}, "is in state review, expected scheduled or implement"),
        ({"cmdb_ci": "billing"}, 'is for "billing", expected "checkout"'),
        ({"number": "CHG0039999"}, "has no ticket CHG0030001"),
    ):
        change.update(good | changed)
        with pytest.raises(AirflowFailException, match=said):
            release.run(FIRST)
        assert release.world.weights() == {"1.0.0": 100}
        assert release.events(Kind.STEP_REFUSED)[-1].step == FIRST


def test_marking_the_gate_opens_nothing(release: Release, snow: ServiceNowServer) -> None:
    # Its end is on record, as after a mark and a forged event; the system says no.
    snow.change(NUMBER, **planned() | {"approval": "requested"})
    release.finished(TICKET)
    release.approved()
    with pytest.raises(AirflowFailException, match="CHG0030001 is not approved yet"):
        release.run(FIRST)
    assert release.world.weights() == {"1.0.0": 100}


def test_the_change_waits_for_the_planned_time(release: Release, snow: ServiceNowServer) -> None:
    approved(release, snow, **planned(start_h=3, end_h=5))
    waiting = release.run(FIRST)
    assert isinstance(waiting, TaskDeferred)
    assert isinstance(waiting.trigger, SoakTrigger)
    assert release.world.weights() == {"1.0.0": 100}
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3, minutes=1)):
        going = release.resume(FIRST, waiting, {"state": "over"})
        assert isinstance(going.trigger, AnalysisTrigger)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=6)):
        # A change that has begun is finished, as with release windows.
        release.says(Kind.ANALYSIS_FINISHED, FIRST, verdict="pass", reason="good")
        release.resume(FIRST, going, {"verdict": "pass"})
        assert isinstance(release.run(SECOND).trigger, AnalysisTrigger)


def test_a_system_that_is_down_in_the_middle_holds_the_change_and_takes_nothing_back(
    release: Release, snow: ServiceNowServer
) -> None:
    change = approved(release, snow)
    going = release.run(FIRST)
    release.says(Kind.ANALYSIS_FINISHED, FIRST, verdict="pass", reason="good")
    release.resume(FIRST, going, {"verdict": "pass"})
    snow.always = html(503)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
        waiting = release.run(SECOND)
        assert waits(waiting).expires_at == ""
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=40)):
        waits(release.resume(SECOND, waiting, {"state": "over"}))
        assert release.world.weights() == {"1.0.0": 50, "1.1.0": 50}
        snow.always = None
        assert isinstance(release.resume(SECOND, waiting, {"state": "changed"}).trigger, AnalysisTrigger)
    change["state"] = "4"
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=41)):
        # Going back depends on no ticket.
        assert release.run("production.rollback")["message"]


def test_a_dry_run_asks_no_system(world: World, snow: ServiceNowServer) -> None:
    release = world.open(dry_run=True).at_the_gate()
    assert "dry run" in release.run(TICKET)["message"]
    assert snow.asked == []


def test_a_redirect_takes_no_login_along(release: Release, snow: ServiceNowServer) -> None:
    with ServiceNowServer() as elsewhere:
        snow.always = (307, {"Location": f"{elsewhere.url}/api/now/table/change_request"}, b"")
        waits(release.run(TICKET))
        assert elsewhere.asked == []


def test_a_link_names_the_ticket_too(world: World, snow: ServiceNowServer) -> None:
    snow.change(NUMBER, **planned())
    link = f"https://instance.example/nav_to.do?uri=change_request.do?sysparm_query=number%3D{NUMBER}"
    release = world.open(ticket=link).at_the_gate()
    assert release.run(TICKET)["message"].startswith(NUMBER)


JIRA = "{system: jira, state: [Awaiting implementation, Implementing]}"


def test_a_change_in_jira_is_waited_for_and_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    text = worlds.SPECS["checkout.yaml"].replace(TERMS, JIRA)
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)
    with JiraServer() as site:
        connection = {"conn_type": "relman_jira", "host": site.url, "login": jira.USER}
        monkeypatch.setenv("AIRFLOW_CONN_RELMAN_JIRA", json.dumps(connection | {"password": jira.PASSWORD}))
        world: World = request.getfixturevalue("world")
        world.live("1.0.0")
        release = world.open(ticket=f"{site.url}/browse/OPS-42").at_the_gate()
        times = {"customfield_10050": at(-1), "customfield_10051": at(1)}
        fields = site.issue("OPS-42", "Awaiting approval", approvals=["pending"], **times)
        waiting = release.run(TICKET)
        told = release.events(Kind.TICKET_WAITED)[0].data["why"]
        assert told.startswith("OPS-42 is not approved yet; OPS-42 is in state awaiting approval, expected")
        site.approvals["OPS-42"], fields["status"] = ["approved"], jira.status_of("Implementing")
        assert news(waits(waiting)) == {"state": "changed"}
        said = release.resume(TICKET, waiting, {"state": "changed"})["message"]
        assert said.startswith("OPS-42 is implementing, approved, planned ")
        release.approved()
        fields["status"] = jira.status_of("Canceled")
        with pytest.raises(AirflowFailException, match="OPS-42 is canceled: it has ended"):
            release.run(FIRST)
        fields["status"] = jira.status_of("Implementing")
        assert isinstance(release.run(FIRST).trigger, AnalysisTrigger)


def at(hours: float) -> str:
    return f"{datetime.now(UTC) + timedelta(hours=hours):%Y-%m-%dT%H:%M:%S.000+0000}"
