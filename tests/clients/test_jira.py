"""A change is read from Jira's REST API, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from relman_plugins.clients.tickets.base import Tickets
from relman_plugins.clients.tickets.jira import Jira
from relman_plugins.domain.ticket import Approval, Draft, Ending, Ticket, TicketFields
from relman_plugins.errors import ClientRejected, ClientUnavailable
from relman_plugins.testing.jira import PASSWORD, USER, JiraServer, error, ok, status_of
from relman_plugins.testing.tickets_server import html

FIELDS = TicketFields(start="Planned start", end="customfield_10051", configuration_item="components")
TIMES = {
    "customfield_10050": "2026-11-25T19:00:00.000+0100",
    "customfield_10051": "2026-11-25T20:30:00.000+0100",
}


@pytest.fixture
def site() -> Iterator[JiraServer]:
    with JiraServer() as server:
        yield server


def found(site: JiraServer, fields: TicketFields | None = FIELDS, password: str = PASSWORD) -> Ticket | None:
    with Jira(site.url, auth=(USER, password), fields=fields) as system:
        assert isinstance(system, Tickets)
        return system.find("OPS-42")


def test_a_change_is_read_with_its_fields_by_name_or_id_and_its_times_in_utc(site: JiraServer) -> None:
    site.issue("OPS-42", **TIMES)
    seen = found(site)
    assert seen == Ticket(
        number="OPS-42",
        state="awaiting_implementation",
        over=False,
        approval=Approval.APPROVED,
        starts=datetime(2026, 11, 25, 18, tzinfo=UTC),
        ends=datetime(2026, 11, 25, 19, 30, tzinfo=UTC),
        items=("checkout",),
        url=f"{site.url}/browse/OPS-42",
    )


@pytest.mark.parametrize(
    ("status", "over"), [("Implementing", False), ("Completed", True), ("Failed", True), ("Canceled", True)]
)
def test_the_category_of_a_status_says_what_is_over(site: JiraServer, status: str, over: bool) -> None:
    site.issue("OPS-42", status, **TIMES)
    seen = found(site)
    assert seen is not None
    assert seen.over is over


@pytest.mark.parametrize(
    ("decisions", "approval"),
    [
        (["approved"], Approval.APPROVED),
        (["declined", "approved"], Approval.APPROVED),
        (["approved", "declined"], Approval.REJECTED),
        (["approved", "pending"], Approval.PENDING),
        ([], Approval.PENDING),
    ],
)
def test_approvals_count_by_the_last_word(site: JiraServer, decisions: list[str], approval: Approval) -> None:
    site.issue("OPS-42", approvals=decisions, **TIMES)
    seen = found(site)
    assert seen is not None
    assert seen.approval is approval


@pytest.mark.parametrize(
    ("value", "approval"),
    [
        ({"value": "Approved", "id": "1"}, Approval.APPROVED),
        ([{"name": "Declined"}], Approval.REJECTED),
        ("approved by nobody", Approval.PENDING),
        ([{"name": "Approved"}, {"name": "Approved"}], Approval.PENDING),
        (None, Approval.PENDING),
    ],
)
def test_a_field_may_say_what_was_decided(site: JiraServer, value: Any, approval: Approval) -> None:
    site.issue("OPS-42", customfield_10060=value)
    del site.approvals["OPS-42"]
    seen = found(site, TicketFields(approval="CAB decision"))
    assert seen is not None
    assert seen.approval is approval


def test_what_nobody_asks_is_not_looked_for(site: JiraServer) -> None:
    site.issues["OPS-42"] = {"status": {"name": "Odd", "statusCategory": {"key": "new"}}}
    seen = found(site, TicketFields(approvals=False))
    assert seen == Ticket(
        number="OPS-42", state="odd", over=False, approval=Approval.PENDING, url=f"{site.url}/browse/OPS-42"
    )


def test_there_is_none_or_none_that_may_be_seen(site: JiraServer) -> None:
    assert found(site) is None


@pytest.mark.parametrize("number", ["", "ops-42", "OPS-42/../../myself", "OPS-42?x=1", "OPS-42\n", "OPS-0"])
def test_a_key_that_could_change_the_address_is_never_sent(number: str) -> None:
    with Jira("http://127.0.0.1:1") as system, pytest.raises(ClientRejected, match="OPS-42"):
        system.find(number)


ISSUE = {"key": "OPS-42", "names": {}, "fields": {"status": {"name": "x", "statusCategory": {"key": "new"}}}}


@pytest.mark.parametrize(
    ("answer", "said", "kind"),
    [
        (html(), "answered with text/html, expected Jira's JSON", ClientUnavailable),
        (html(503), "answered 503", ClientUnavailable),
        (error(429, "slow down"), "it gets too many requests", ClientUnavailable),
        (error(404, "Dead link"), "there is no such address", ClientRejected),
        (error(401, "words of the server"), "it does not take the connection's login", ClientRejected),
        (ok({**ISSUE, "key": "NEW-7"}), "OPS-42 is called NEW-7 now", ClientRejected),
        (ok({**ISSUE, "key": ["x"]}), "has key \"['x']\", which is not understood", ClientUnavailable),
        (ok({**ISSUE, "fields": None}), "has fields 'NoneType'", ClientUnavailable),
        (ok({**ISSUE, "fields": {"status": "open"}}), "has status 'None'", ClientUnavailable),
        (ok(ISSUE), "OPS-42 has no field called 'Planned start'", ClientRejected),
        (
            ok({**ISSUE, "names": {"a": "Planned start", "b": "planned start"}}),
            "has 2 fields",
            ClientRejected,
        ),
        ((307, {"Location": "http://127.0.0.1:1"}, b""), "it sends elsewhere", ClientRejected),
        ((200, {}, b'"' + b"x" * (1 << 20) + b'"'), "with more than 1 MB", ClientRejected),
    ],
)
def test_what_cannot_be_a_change_is_said_in_our_own_words(
    site: JiraServer, answer: Any, said: str, kind: type[Exception]
) -> None:
    site.always = answer
    with pytest.raises(kind) as caught:
        found(site, TicketFields(start="Planned start", approvals=False))
    assert said in str(caught.value)
    assert "words of the server" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"customfield_10050": "2026-11-25"}, "has Planned start '2026-11-25', which is not understood"),
        ({"customfield_10050": 12}, "has Planned start '12', which is not understood"),
        ({"customfield_10051": "soon"}, "has customfield_10051 'soon', which is not understood"),
        ({"components": [{"objectId": "7"}]}, "has components"),
    ],
)
def test_a_field_of_another_kind_is_nonsense(site: JiraServer, fields: dict[str, Any], said: str) -> None:
    site.issue("OPS-42", **TIMES | fields)
    with pytest.raises(ClientUnavailable) as caught:
        found(site)
    assert said in str(caught.value)


def test_an_issue_that_somebody_has_stopped_is_not_taken_on(site: JiraServer) -> None:
    issue = site.issue("OPS-42", "On hold", **TIMES)
    ending = Ending(succeeded="Completed", otherwise="Failed", through=("Implementing",))
    with Jira(site.url, auth=(USER, PASSWORD), fields=FIELDS) as system:
        system.begin("OPS-42", ["awaiting_implementation", "implementing"], ending)
        assert issue["status"]["name"] == "On hold"
        issue["status"] = status_of("Awaiting implementation")
        system.begin("OPS-42", ["awaiting_implementation", "implementing"], ending)
    assert issue["status"]["name"] == "Implementing"


@pytest.mark.parametrize("field", ["customfield_10060", "CAB decision"])
def test_no_issue_is_created_with_an_approval_filled_in(site: JiraServer, field: str) -> None:
    draft = Draft(
        correlation="relman-1",
        kind="[System] Change",
        project="OPS",
        summary="s",
        description="d",
        options={"customfield_10060": "Approved"},
        decisions=(field,),
    )
    with (
        Jira(site.url, auth=(USER, PASSWORD), fields=FIELDS) as system,
        pytest.raises(ClientRejected, match="not created with customfield_10060 filled in"),
    ):
        system.create(draft)
    assert site.issues == {}


def test_an_issue_outside_service_projects_has_no_approvals(site: JiraServer) -> None:
    site.issue("OPS-42", **TIMES)
    del site.approvals["OPS-42"]
    with pytest.raises(ClientRejected, match="is in no service project that the account may see"):
        found(site)


def test_a_wrong_login_is_not_a_ticket_that_is_not_there(site: JiraServer) -> None:
    with pytest.raises(ClientRejected, match="answered 401"):
        found(site, password="another")


def test_a_login_in_the_address_is_in_no_link(site: JiraServer) -> None:
    site.issue("OPS-42", **TIMES)
    address = site.url.replace("://", "://me:s3cret@")
    with Jira(address, auth=(USER, PASSWORD), fields=FIELDS) as system:
        seen = system.find("OPS-42")
    assert seen is not None
    assert seen.url == f"{site.url}/browse/OPS-42"
