"""Change tickets: where they are kept, and what must be true of one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from relman_plugins.spec.models.base import ConnectionId, Flag, Line, SpecModel
from relman_plugins.spec.models.duration import Duration

States = Annotated[tuple[Line, ...], Field(min_length=1, max_length=20)]


class TicketTerms(SpecModel):
    """What a gate asks of a ticket, whatever the system."""

    approved: Flag = True
    """Whether the ticket must be approved."""
    window: Flag = True
    """Whether the ticket's planned time must cover the moment at which the stage's change begins."""
    configuration_item: Line | None = None
    """Name of the configuration item that the ticket must be for; the pipeline's own unless given.

    With `any` it is not looked at.
    """
    timeout: Duration = Duration(86_400)
    """How long a release waits for its ticket: for an approval, a state, or the system to answer."""


class ServiceNowTicket(TicketTerms):
    """A change request in ServiceNow."""

    system: Literal["servicenow"]
    """Where the ticket is."""
    connection: ConnectionId = "relman_servicenow"
    """Airflow connection id of the instance."""
    state: States = ("scheduled", "implement")
    """In which of these states it must be, as the instance calls them."""
