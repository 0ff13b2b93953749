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


class JiraFields(SpecModel):
    """Where in an issue what is asked stands: fields by their ids, or by the names that people see."""

    approval: Line | None = None
    """A field that says `Approved` once it is; without it Jira Service Management's approvals are asked."""
    start: Line = "Planned start"
    """The planned start, with a time."""
    end: Line = "Planned end"
    """The planned end, with a time."""
    configuration_item: Line = "components"
    """What the change is for; one of its names must be the configuration item."""


class JiraTicket(TicketTerms):
    """A change in Jira."""

    system: Literal["jira"]
    """Where the ticket is."""
    connection: ConnectionId = "relman_jira"
    """Airflow connection id of the site."""
    state: States
    """In which of these statuses it must be, by their names."""
    fields: JiraFields = JiraFields()
    """Where in an issue what is asked stands."""


class ServiceNowTicket(TicketTerms):
    """A change request in ServiceNow."""

    system: Literal["servicenow"]
    """Where the ticket is."""
    connection: ConnectionId = "relman_servicenow"
    """Airflow connection id of the instance."""
    state: States = ("scheduled", "implement")
    """In which of these states it must be, as the instance calls them."""
