"""What is said of a change ticket in Slack, in the stage list and in a report."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.event import Kind
from relman_plugins.reports.telling import QUIET, sentence
from tests.notifications.telling import event, said

WAITED = {
    "gate": "production.ticket",
    "system": "servicenow",
    "number": "CHG0030001",
    "why": "CHG0030001 is <!channel> not *approved* yet",
    "gives_up_at": "2026-01-03T03:04:00+00:00",
    "message": "waiting for the ticket: CHG0030001 is not approved yet",
}
TICKET: dict[str, Any] = {
    "number": "CHG0030001",
    "state": "scheduled",
    "over": False,
    "approval": "pending",
    "items": ["checkout"],
}


def test_a_wait_says_for_which_ticket_why_and_until_when() -> None:
    told = said(Kind.TICKET_WAITED, **WAITED)
    assert told.startswith("🎫 production waits for the ticket CHG0030001; gives up ")
    assert "CHG0030001 is <!channel> not *approved* yet" in told, "quoted, where it calls nobody"


def test_a_ticket_that_was_created_is_named() -> None:
    told = said(Kind.TICKET_CREATED, gate="production.ticket", system="jira", number="OPS-42")
    assert told == "🎫 production: created the ticket OPS-42 in jira"


def test_a_release_says_its_ticket_as_a_link_or_a_number() -> None:
    assert "ticket OPS-42" in said(Kind.RELEASE_OPENED, version="1", ticket="OPS-42")
    assert "https://tracker.example/OPS-42" in said(
        Kind.RELEASE_OPENED, version="1", ticket="https://tracker.example/OPS-42"
    )


def test_a_gate_in_slack_names_the_ticket_that_is_part_of_what_is_approved() -> None:
    subject = {"pipeline": "checkout", "version": "1", "ticket": "CHG0030001", "tests": []}
    told = said(Kind.GATE_OPENED, subject=subject, people=[], quorum=1, round=1)
    assert "ticket CHG0030001" in told


def test_a_report_says_what_was_seen_and_what_was_lacking() -> None:
    seen = event(
        Kind.TICKET_CHECKED,
        number="CHG0030001",
        ticket=TICKET,
        lacks=["CHG0030001 is not approved yet"],
    )
    assert sentence(seen) == (
        "looked at the ticket: CHG0030001 is scheduled, not approved, for checkout: "
        "CHG0030001 is not approved yet"
    )
    gone = event(Kind.TICKET_CHECKED, number="CHG0030001", ticket=None, lacks=["there is none"])
    assert sentence(gone) == "looked at the ticket: CHG0030001 is not there: there is none"
    assert sentence(event(Kind.TICKET_CREATED, number="OPS-42")) == "created the ticket OPS-42"
    assert sentence(event(Kind.TICKET_WAITED, **WAITED)) == WAITED["message"]
    assert sentence(event(Kind.TICKET_CHECKED, ticket={"odd": 1})) == "ticket checked"
    assert Kind.TICKET_ASKED in QUIET
