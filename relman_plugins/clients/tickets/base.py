"""What relman asks of a system that keeps change tickets, whichever it is."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import httpx

from relman_plugins.clients.http import shown
from relman_plugins.domain.base import Frozen
from relman_plugins.errors import ClientUnavailable

MAX_BYTES = 1024 * 1024
"""The largest answer about one ticket that is read."""


class Approval(StrEnum):
    """What the people who decide about changes said."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


class Ticket(Frozen):
    """A change ticket as its system shows it at one moment."""

    number: str
    """What people call it: ``CHG0030001``."""
    state: str
    """Where it is on its way, in lower case with underscores: ``scheduled``, ``implement``."""
    over: bool
    """Whether it has ended, for good: it was closed or cancelled."""
    approval: Approval
    starts: datetime | None = None
    """Planned start, UTC; None when the ticket has none."""
    ends: datetime | None = None
    """Planned end, UTC; None when the ticket has none."""
    configuration_item: str = ""
    """Name of what is changed; empty when the ticket names nothing."""
    url: str = ""
    """Where people can look at it."""


@runtime_checkable
class Tickets(Protocol):
    """A system that keeps change tickets. Everything it says is checked; nonsense is never an answer."""

    def find(self, number: str) -> Ticket | None:
        """Return a ticket by its number; None when there is none that this account can see.

        Raises:
            ClientUnavailable: No answer, or one that cannot be understood: trying again can help.
            ClientRejected: The number is none of this system, the account may not ask, or two tickets have
                the number.
        """
        ...


def read(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object that a ticket system answered with.

    Raises:
        ClientUnavailable: It is something else, such as the page of a proxy or of an instance that sleeps.
    """
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        kind = answer.headers.get("content-type", "no content type")
        raise ClientUnavailable(
            f"{shown(answer.request.url)} answered with {kind[:80]}, expected a JSON object; "
            "look at the address with a browser: is that the ticket system, and is it awake?"
        )
    return body
