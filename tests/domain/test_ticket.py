"""What a ticket lacks, in exactly these words; and what in a text is its number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relman_plugins.domain.ticket import Approval, Demands, Ticket, lacks, normal, summary, told
from relman_plugins.domain.ticket_number import is_number, number_in

NOW = datetime(2026, 11, 25, 18, 30, tzinfo=UTC)
DEMANDS = Demands(
    system="servicenow", states=("scheduled", "implement"), approved=True, window=True, item="checkout"
)
GOOD: dict[str, Any] = {
    "number": "CHG1234",
    "state": "scheduled",
    "over": False,
    "approval": Approval.APPROVED,
    "starts": NOW - timedelta(minutes=30),
    "ends": NOW + timedelta(minutes=30),
    "items": ("Checkout",),
}


def lacking(now: datetime = NOW, *, begun: bool = False, **changed: Any) -> list[tuple[str, bool]]:
    found = lacks(DEMANDS, "CHG1234", Ticket(**GOOD | changed), now, begun=begun)
    return [(lack.text, lack.final) for lack in found]


@pytest.mark.parametrize(
    ("changed", "said", "final"),
    [
        ({"over": True, "state": "closed"}, "CHG1234 is closed: it has ended", True),
        (
            {"over": True, "state": "canceled", "approval": "pending"},
            "CHG1234 is canceled: it has ended",
            True,
        ),
        ({"approval": "rejected"}, "CHG1234 was rejected", True),
        ({"approval": "pending"}, "CHG1234 is not approved yet", False),
        (
            {"state": "on_its_way"},
            "CHG1234 is in state on its way, expected scheduled or implement",
            False,
        ),
        ({"held": True}, "CHG1234 is on hold", False),
        ({"items": ("billing", "shop")}, 'CHG1234 is for "billing" and "shop", expected "checkout"', True),
        ({"items": ()}, 'CHG1234 is for no configuration item, expected "checkout"', False),
        ({"starts": None}, "CHG1234 has no planned start", False),
        ({"ends": None}, "CHG1234 has no planned end", False),
        ({"ends": NOW}, "the planned time of CHG1234 ended at 2026-11-25 18:30 UTC", True),
        (
            {"starts": NOW + timedelta(seconds=1)},
            "the planned time of CHG1234 begins at 2026-11-25 18:30 UTC",
            False,
        ),
    ],
)
def test_each_thing_that_is_lacking_is_said(changed: dict[str, Any], said: str, final: bool) -> None:
    assert lacking(**changed) == [(said, final)]


def test_all_that_is_lacking_is_said_at_once() -> None:
    found = lacking(approval="pending", state="assess", items=(), starts=None)
    assert len(found) == 4


def test_a_ticket_that_will_do_lacks_nothing_from_its_first_moment_to_before_its_last() -> None:
    assert lacking() == []
    assert lacking(GOOD["starts"]) == []
    assert lacking(GOOD["ends"] - timedelta(microseconds=1)) == []


def test_there_is_none() -> None:
    (lack,) = lacks(DEMANDS, "CHG1234", None, NOW)
    assert lack.text == "ServiceNow has no ticket CHG1234 that relman's account can see"
    assert lack.final


def test_a_change_that_has_begun_is_finished_after_its_time_but_not_against_a_no() -> None:
    assert lacking(NOW + timedelta(hours=2), begun=True) == []
    assert lacking(NOW + timedelta(hours=2), begun=True, over=True, state="closed") != []


def test_what_comes_by_itself_is_not_what_people_must_do() -> None:
    ticket = Ticket(**GOOD | {"starts": NOW + timedelta(hours=1), "ends": NOW + timedelta(hours=2)})
    (lack,) = found = lacks(DEMANDS, "CHG1234", ticket, NOW)
    assert lack.until == NOW + timedelta(hours=1)
    assert told(found) == ""


def test_a_gate_may_ask_less() -> None:
    nothing = Demands(system="jira", states=("done",), approved=False, window=False, item="")
    ticket = Ticket(number="OPS-1", state="done", over=False, approval=Approval.REJECTED)
    assert lacks(nothing, "OPS-1", ticket, NOW) == ()


def test_a_ticket_in_one_line() -> None:
    said = (
        "CHG1234 is scheduled, approved, planned 2026-11-25 18:00 UTC to 2026-11-25 19:00 UTC, for Checkout"
    )
    assert summary(Ticket(**GOOD)) == said


@pytest.mark.parametrize(
    ("system", "text", "number"),
    [
        ("servicenow", "CHG0030001", "CHG0030001"),
        ("servicenow", "https://x.example/nav_to.do?uri=x?sysparm_query=number%3DCHG0030001", "CHG0030001"),
        ("servicenow", "https://CHG0030001.example/", ""),
        ("servicenow", "https://x.example/CHG0030001/CHG0030002", ""),
        ("servicenow", "https://x.example/CHG0030001?again=CHG0030001", "CHG0030001"),
        ("servicenow", "OPS-42", ""),
        ("servicenow", "", ""),
        ("jira", "OPS-42", "OPS-42"),
        ("jira", "https://tracker.example/browse/OPS-42?filter=1", "OPS-42"),
        ("jira", "https://tracker.example/browse/ops-42", ""),
        ("jira", "CHG0030001", ""),
    ],
)  # fmt: skip
def test_a_number_is_found_where_there_is_one(system: str, text: str, number: str) -> None:
    assert number_in(system, text) == number


def test_numbers_and_states() -> None:
    assert is_number("CHG0030001")
    assert is_number("A_B1-2")
    assert not any(map(is_number, ("", "42", "CHG", "CHG0030001^ORnumber!=x", "OPS-42\n", "ops-42")))
    assert normal(" In Progress ") == normal("in_progress") == "in_progress"
