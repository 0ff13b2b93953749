"""A change's ticket, by the record: its system is asked by the step that acts, not long before."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.ticket import FRESH_S
from relman_plugins.errors import Refused, TooEarly, Unlooked
from relman_plugins.ledger.api import Ledger, ReleaseRecord, check_forward
from relman_plugins.plan.model import Shape, Step
from tests.ledger.make import Clock, Open, make_shape

CANARY, TICKET = "production.canary_10", "production.ticket"
NUMBER = "CHG0030001"
WANTED = {
    "system": "servicenow",
    "connection": "snow",
    "states": ["implement"],
    "approved": True,
    "window": True,
    "item": "",
    "fields": None,
    "timeout_s": 600,
}


def shape(*, asked: bool = True) -> Shape:
    """Return a plan whose canary needs a ticket, looked at by a step of its own or only named."""
    plain = make_shape()
    ticket = Step(id=TICKET, kind="ticket", stage="production", environment="production", args=WANTED)
    changed = {"gates": (TICKET,)} if asked else {"gates": (), "ticket": True}
    steps = [s.model_copy(update=changed) if s.id == CANARY else s for s in plain.steps]
    return plain.model_copy(update={"steps": (*steps, *((ticket,) if asked else ()))})


@pytest.fixture
def release(open_release: Open) -> ReleaseRecord:
    return open_release(shape=shape(), ticket=NUMBER)


def looked(ledger: Ledger, release: ReleaseRecord, clock: Clock, step: str = CANARY, **other: Any) -> None:
    """Record what the ticket's system said: all is well, for an hour from now on."""
    said = {
        "number": NUMBER,
        "state": "implement",
        "over": False,
        "approval": "approved",
        "starts": clock.now.isoformat(),
        "ends": clock.forward(3600).isoformat(),
    }
    clock.forward(-3600)
    data = {"gate": TICKET, "number": NUMBER, "ticket": said | other.pop("ticket", {}), "lacks": [], **other}
    key = f"looked:{ledger.last_event_id()}"
    ledger.record(release.release_id, NewEvent(kind=Kind.TICKET_CHECKED, key=key, step=step, data=data))


def go(ledger: Ledger, release: ReleaseRecord, clock: Clock, *gates: str) -> ReleaseRecord:
    step, frame = release.plan.shape.step(CANARY), release.plan.shape.frame
    return check_forward(ledger, release.release_id, step, frame=frame, now=clock.now, looked=gates)


def test_the_system_is_asked_before_each_change(ledger: Ledger, release: ReleaseRecord, clock: Clock) -> None:
    looked(ledger, release, clock)
    with pytest.raises(Unlooked):
        go(ledger, release, clock)
    assert go(ledger, release, clock, TICKET) == release


@pytest.mark.parametrize(("age_s", "counts"), [(0, True), (FRESH_S, True), (FRESH_S + 1, False), (-1, False)])
def test_an_answer_counts_for_a_minute(
    ledger: Ledger, release: ReleaseRecord, clock: Clock, age_s: float, counts: bool
) -> None:
    looked(ledger, release, clock, ticket={"starts": "2026-01-01T00:00:00Z"})
    clock.forward(age_s)
    if counts:
        assert go(ledger, release, clock, TICKET)
        return
    with pytest.raises(Refused, match="was not looked at in the last minute"):
        go(ledger, release, clock, TICKET)


@pytest.mark.parametrize(
    "other", [{"step": "production.deploy"}, {"gate": "production.ticket_2"}, {"number": "CHG0030002"}]
)
def test_what_another_step_saw_or_was_said_of_another_ticket_does_not_count(
    ledger: Ledger, release: ReleaseRecord, clock: Clock, other: dict[str, Any]
) -> None:
    looked(ledger, release, clock, **other)
    with pytest.raises(Refused, match=f"{NUMBER} was not looked at in the last minute"):
        go(ledger, release, clock, TICKET)


@pytest.mark.parametrize(
    ("ticket", "why"),
    [
        ({"approval": "pending"}, "is not approved yet"),
        ({"approval": "rejected"}, "was rejected"),
        ({"state": "scheduled"}, "is in state scheduled, expected implement"),
        ({"state": "closed", "over": True}, "it has ended"),
        ({"held": True}, "is on hold"),
        ({"ends": "2026-03-29T00:30:00Z"}, "the planned time of CHG0030001 ended"),
        ({"starts": None}, "has no planned start"),
    ],
)
def test_what_was_said_is_judged_anew_and_by_the_stored_plan(
    ledger: Ledger, release: ReleaseRecord, clock: Clock, ticket: dict[str, Any], why: str
) -> None:
    looked(ledger, release, clock, ticket=ticket)
    with pytest.raises(Refused, match=why):
        go(ledger, release, clock, TICKET)


def test_a_planned_time_that_is_to_come_is_waited_for(
    ledger: Ledger, release: ReleaseRecord, clock: Clock
) -> None:
    looked(ledger, release, clock, ticket={"starts": "2026-03-29T00:31:00Z"})
    with pytest.raises(TooEarly):
        go(ledger, release, clock, TICKET)
    clock.forward(60)
    assert go(ledger, release, clock, TICKET)


def test_a_release_that_needs_a_ticket_does_not_go_forward_without_one(
    ledger: Ledger, open_release: Open, clock: Clock
) -> None:
    named = shape(asked=False)
    with pytest.raises(Refused, match="a change ticket is required, and the release carries none"):
        go(ledger, open_release(shape=named), clock)
    assert go(ledger, open_release("run-2", shape=named, ticket=NUMBER), clock)
    assert go(ledger, open_release("run-3", shape=named, dry_run=True), clock)
