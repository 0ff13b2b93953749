"""Change tickets: what a system says of one, and whether that lets a release go on."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.ticket_number import SYSTEMS

FRESH_S = 60.0
"""Seconds for which a step that changes an environment may rest on what a ticket's system said."""

DECIDED = frozenset(
    {
        *("state", "approval", "approval_set", "on_hold", "phase", "phase_state", "active", "close_code"),
        *("number", "sys_id", "correlation_id", "type", "cmdb_ci", "start_date", "end_date"),
    }
)
"""Columns of a change request that say what was decided about it, or that relman itself fills in."""


class Approval(StrEnum):
    """What the people who decide about changes said."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


class Ticket(Frozen):
    """A change ticket as its system showed it at one moment."""

    number: str
    """What people call it: ``CHG0030001``, ``OPS-42``."""
    state: str
    """Where it is on its way, in lower case with underscores: ``scheduled``, ``in_progress``."""
    over: bool
    """Whether it has ended, for good: it was closed, cancelled, or is done."""
    approval: Approval
    starts: datetime | None = None
    """Planned start, UTC; None when the ticket has none."""
    ends: datetime | None = None
    """Planned end, UTC; None when the ticket has none."""
    items: tuple[str, ...] = ()
    """Names of what is changed: its configuration items."""
    held: bool = False
    """Whether somebody has put it on hold."""
    url: str = ""
    """Where people can look at it."""


class TicketFields(Frozen):
    """Where in a ticket its system keeps what is asked, where that is not always the same place: in Jira.

    Each is a field by its id or by the name that people see; None: it is not read.
    """

    approval: str | None = None
    """What the people who decide said; None: the approvals of the system itself."""
    approvals: bool = True
    """Whether anybody wants to know what they said."""
    start: str | None = None
    end: str | None = None
    configuration_item: str | None = None


class Draft(Frozen):
    """A ticket that is about to be created."""

    correlation: str
    """What a ticket that was created for this release is found by: letters, digits and dashes, at most 60."""
    kind: str
    """Type of change in ServiceNow, of issue in Jira."""
    project: str = ""
    """Key of the project in Jira."""
    summary: str
    """One line."""
    description: str
    item: str = ""
    """Name of the configuration item; empty for none."""
    starts: datetime | None = None
    """Planned start (aware); None leaves it to people."""
    ends: datetime | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    """What else is filled in: texts, by the system's name of the field."""
    options: dict[str, str] = Field(default_factory=dict)
    """The same for fields of Jira that take one of several options."""
    decisions: tuple[str, ...] = ()
    """Fields of Jira, by id or name, in which the release's gates look for an approval: never filled in."""


class Ending(Frozen):
    """How a ticket ends with its release."""

    succeeded: str
    """ServiceNow's close code, or Jira's status."""
    otherwise: str
    unused: str = ""
    """Jira's status for a ticket that was created for nothing."""
    through: tuple[str, ...] = ()
    """Jira's statuses that it may pass on its way."""


class Demands(Frozen):
    """What a gate asks of a ticket."""

    system: str
    """``servicenow`` or ``jira``."""
    states: tuple[str, ...]
    """In which of them it must be, as ``normal`` writes them."""
    approved: bool
    """Whether it must be approved."""
    window: bool
    """Whether its planned time must cover the moment at which something is changed."""
    item: str
    """Name of the configuration item that it must be for; empty: of any."""
    fields: TicketFields | None = None
    """Where that stands; None: where it always does in that system."""


class Lack(Frozen):
    """One thing that a ticket lacks."""

    text: str
    """What, in words that name the ticket."""
    final: bool = False
    """Whether nobody expects that to change: waiting for it is no use."""
    until: datetime | None = None
    """UTC; when it will be there by itself."""


def normal(state: str) -> str:
    """Write the name of a state as it is compared: lower case, underscores for all that is no letter."""
    return re.sub(r"\W+", "_", state.strip().lower()).strip("_")


def lacks(
    demands: Demands, number: str, ticket: Ticket | None, now: datetime, *, begun: bool = False
) -> tuple[Lack, ...]:
    """Return what keeps a release from going on by its ticket at ``now`` (aware); nothing: it may.

    ``begun`` says that the stage's change has begun: like a release window, the ticket's is then not looked
    at any more, since a change half made is better finished than left. A ticket that is None is not there.
    """
    if ticket is None:
        where = SYSTEMS[demands.system]
        return (Lack(text=f"{where} has no ticket {number} that relman's account can see", final=True),)
    if ticket.over and ticket.state not in demands.states:
        return (Lack(text=f"{number} is {_said(ticket.state)}: it has ended", final=True),)
    found = []
    if demands.approved and ticket.approval is not Approval.APPROVED:
        rejected = ticket.approval is Approval.REJECTED
        text = f"{number} was rejected" if rejected else f"{number} is not approved yet"
        found.append(Lack(text=text, final=rejected))
    if ticket.state not in demands.states:
        wanted = " or ".join(map(_said, demands.states))
        found.append(Lack(text=f"{number} is in state {_said(ticket.state)}, expected {wanted}"))
    if ticket.held:
        found.append(Lack(text=f"{number} is on hold"))
    if demands.item and demands.item.casefold() not in {i.strip().casefold() for i in ticket.items}:
        of = " and ".join(f'"{i}"' for i in ticket.items[:3]) or "no configuration item"
        found.append(Lack(text=f'{number} is for {of}, expected "{demands.item}"', final=bool(ticket.items)))
    if demands.window and not begun:
        found += _window(number, ticket, now)
    return tuple(found)


def _window(number: str, ticket: Ticket, now: datetime) -> list[Lack]:
    if ticket.starts is None or ticket.ends is None:
        missing = "start" if ticket.starts is None else "end"
        return [Lack(text=f"{number} has no planned {missing}")]
    if now >= ticket.ends:
        return [Lack(text=f"the planned time of {number} ended at {_at(ticket.ends)}", final=True)]
    if now < ticket.starts:
        begins = f"the planned time of {number} begins at {_at(ticket.starts)}"
        return [Lack(text=begins, until=ticket.starts)]
    return []


def told(found: tuple[Lack, ...]) -> str:
    """Return in words what has to change before a ticket will do; what comes by itself is left out."""
    return "; ".join(lack.text for lack in found if lack.until is None)


def summary(ticket: Ticket) -> str:
    """Say in one line how a ticket stands: ``CHG0030001 is scheduled, approved, planned 18:00 to …``."""
    time = f", planned {_at(ticket.starts)} to {_at(ticket.ends)}" if ticket.starts and ticket.ends else ""
    of = f", for {' and '.join(ticket.items[:3])}" if ticket.items else ""
    said = {Approval.APPROVED: "approved", Approval.PENDING: "not approved", Approval.REJECTED: "rejected"}
    return f"{ticket.number} is {_said(ticket.state)}, {said[ticket.approval]}{time}{of}"


def demands_of(args: dict[str, Any]) -> Demands:
    """Return what a ticket step's arguments ask for."""
    return Demands.model_validate({name: args[name] for name in Demands.model_fields})


def _said(state: str) -> str:
    return state.replace("_", " ")


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
