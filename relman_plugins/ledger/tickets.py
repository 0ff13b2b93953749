"""A release's change ticket by the record: its number, and whether what its system said last will do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.ticket import FRESH_S, Ticket, demands_of, lacks
from relman_plugins.domain.ticket_number import number_in
from relman_plugins.errors import Refused, TooEarly
from relman_plugins.ledger.releases import ReleaseRecord
from relman_plugins.plan.model import Step


def number_of(record: ReleaseRecord, gate: Step, events: Sequence[Event]) -> str:
    """Return the number of the release's ticket at a ticket step; empty when it has none there.

    It is the one that the release was started with, or that was created for it: ``events`` hold its
    ``ticket.created``.
    """
    given = number_in(gate.args["system"], record.plan.options.ticket)
    return given or created_number(events)


def created_number(events: Sequence[Event]) -> str:
    """Return the number of the ticket that was created for a release; empty when none was."""
    return next((str(e.data["number"]) for e in events if e.kind is Kind.TICKET_CREATED), "")


def has_begun(record: ReleaseRecord, gate: Step, events: Sequence[Event]) -> bool:
    """Say whether the change that a gate guards has begun, by the release's ``change.started``."""
    stage = {s.id for s in record.plan.shape.steps if s.stage == gate.stage}
    return any(e.kind is Kind.CHANGE_STARTED and e.step in stage for e in events)


def last_seen(events: Sequence[Event], gate: str) -> Event | None:
    """Return the newest ``ticket.checked`` of a gate."""
    found = (e for e in reversed(events) if e.kind is Kind.TICKET_CHECKED and e.data.get("gate") == gate)
    return next(found, None)


def ticket_in(event: Event) -> Ticket | None:
    """Return what a ``ticket.checked`` says was found."""
    found = event.data.get("ticket")
    return Ticket.model_validate(found) if found else None


def check_ticket(
    record: ReleaseRecord, step: Step, gate: Step, events: Sequence[Event], now: datetime
) -> None:
    """Return when the ticket lets ``step`` act at ``now``, by what its system told that step just now.

    Raises:
        TooEarly: Nothing is lacking but that the planned time begins.
        Refused: Something else is lacking, or nothing so fresh is on record.
    """
    where, number = f"release {record.release_id}, step {step.id}", number_of(record, gate, events)
    if not number:
        raise Refused(f"{where}: {gate.id} asks for a ticket, and the release carries none")
    seen = last_seen([e for e in events if e.step == step.id], gate.id)
    fresh = seen is not None and timedelta(0) <= now - seen.at <= timedelta(seconds=FRESH_S)
    if seen is None or not fresh or seen.data.get("number") != number:
        raise Refused(
            f"{where}: {number} was not looked at in the last minute; clear the step, so that it is"
        )
    found = lacks(demands_of(gate.args), number, ticket_in(seen), now, begun=has_begun(record, gate, events))
    early = [lack.until for lack in found if lack.until is not None]
    if early and len(early) == len(found):
        raise TooEarly(f"{where}: {found[0].text}", max(early))
    if found:
        raise Refused(f"{where}: {'; '.join(lack.text for lack in found)}")
