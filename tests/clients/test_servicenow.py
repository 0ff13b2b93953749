"""A change request is read from ServiceNow's Table API, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from relman_plugins.clients.tickets.base import Tickets
from relman_plugins.clients.tickets.servicenow import ServiceNow
from relman_plugins.domain.ticket import Approval
from relman_plugins.errors import ClientRejected, ClientUnavailable

ID = "46e18c0fa9fe19810066a0083f76bd56"


def row(**changed: Any) -> dict[str, Any]:
    """Return a record with ``sysparm_display_value=all``: the account is in Los Angeles."""
    return {
        "sys_id": {"display_value": ID, "value": ID},
        "number": {"display_value": "CHG0030001", "value": "CHG0030001"},
        "state": {"display_value": "Scheduled", "value": "-2"},
        "approval": {"display_value": "Approved", "value": "approved"},
        "start_date": {"display_value": "2026-11-25 10:00:00", "value": "2026-11-25 18:00:00"},
        "end_date": {"display_value": "", "value": ""},
        "cmdb_ci": {"display_value": "checkout", "link": "https://x.example/api", "value": "a" * 32},
        **changed,
    }


def answering(
    code: int, body: Any, kind: str = "application/json"
) -> Callable[[BaseHTTPRequestHandler], None]:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def test_a_change_request_is_read_with_its_times_in_utc(serving: Any) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        answering(200, {"result": [row()]})(handler)

    url = serving(answer)
    with ServiceNow(url) as system:
        assert isinstance(system, Tickets)
        found = system.find("CHG0030001")
    assert found is not None
    assert (found.state, found.approval, found.over) == ("scheduled", Approval.APPROVED, False)
    assert found.starts == datetime(2026, 11, 25, 18, tzinfo=UTC)
    assert found.ends is None
    assert found.items == ("checkout",)
    assert found.url == f"{url}/change_request.do?sys_id={ID}"
    query = parse_qs(urlsplit(asked[0]).query)
    assert query["sysparm_query"] == ["number=CHG0030001"]
    assert query["sysparm_display_value"] == ["all"]


def test_there_is_no_such_change_request(serving: Any) -> None:
    with ServiceNow(serving(answering(200, {"result": []}))) as system:
        assert system.find("CHG0030001") is None


@pytest.mark.parametrize(
    "number", ["CHG1^ORnumber!=x", "", "CHG0030001\n", "chg0030001", "CHG0030001^state=3", "CHG٣٣٣٣"]
)
def test_a_number_that_could_change_the_query_is_never_sent(number: str) -> None:
    with ServiceNow("http://127.0.0.1:1") as system, pytest.raises(ClientRejected, match="CHG0030001"):
        system.find(number)


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (200, "<html>Your instance is hibernating</html>", "text/html"),
        (200, "[" * 100_000, "application/json"),
        (200, [], "application/json"),
        (200, {}, "application/json"),
        (200, {"result": "none"}, "application/json"),
        (
            200,
            {"result": [row(number={"display_value": "CHG0030002", "value": "CHG0030002"})]},
            "application/json",
        ),
        (200, {"result": [row(approval={"display_value": "?", "value": "?"})]}, "application/json"),
        (200, {"result": [row(start_date={"display_value": "", "value": "tomorrow"})]}, "application/json"),
        (200, {"result": [row(state="Scheduled")]}, "application/json"),
        (200, {"result": [row(cmdb_ci=None)]}, "application/json"),
        (200, {"result": [row(sys_id={"value": "../admin", "display_value": ""})]}, "application/json"),
        (429, {"error": {"message": "Rate limit", "detail": ""}}, "application/json"),
        (503, "<html>down</html>", "text/html"),
    ],
)
def test_what_cannot_be_understood_may_be_asked_again(serving: Any, code: int, body: Any, kind: str) -> None:
    with ServiceNow(serving(answering(code, body, kind))) as system, pytest.raises(ClientUnavailable):
        system.find("CHG0030001")


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (401, {"error": {"message": "User Not Authenticated", "detail": ""}, "status": "failure"}),
        (403, {"error": {"message": "User Not Authorized", "detail": "ACL"}, "status": "failure"}),
        (404, {"error": {"message": "Requested URI does not represent any resource"}, "status": "failure"}),
        (200, {"result": [row(), row()]}),
        (200, "x" * (1024 * 1024 + 1)),
    ],
)
def test_what_stays_wrong_is_refused(serving: Any, code: int, body: Any) -> None:
    with ServiceNow(serving(answering(code, body))) as system, pytest.raises(ClientRejected):
        system.find("CHG0030001")
