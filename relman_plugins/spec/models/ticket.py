"""Change tickets: where they are kept, and what must be true of one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from relman_plugins.spec.models.base import ConnectionId, Flag, Line, SpecModel
from relman_plugins.spec.models.duration import Duration

FIELD_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,79}$"
PROJECT_PATTERN = r"^[A-Z][A-Z0-9_]{1,30}$"

Texts = Annotated[dict[Annotated[str, StringConstraints(pattern=FIELD_PATTERN)], Line], Field(max_length=30)]
"""Texts by the name that the system has for a field."""

States = Annotated[tuple[Line, ...], Field(min_length=1, max_length=20)]


class Planned(SpecModel):
    """The planned time of a ticket that is created."""

    after: Duration | None = None
    """How long after its creation it begins; at once unless given."""
    for_: Duration = Field(alias="for")
    """How long it lasts."""


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
    report: Literal["nothing", "notes", "close"] = "nothing"
    """What the ticket is told: nothing, notes of what becomes of the release, or those and its end."""


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


class JiraCreate(SpecModel):
    """The issue that is created for a release that brings none."""

    project: Annotated[str, StringConstraints(pattern=PROJECT_PATTERN)]
    """Key of the project."""
    type: Line = "[System] Change"
    """Type of the issue."""
    fields: Texts = Field(default_factory=dict)
    """Texts to fill in, by the ids of fields."""
    options: Texts = Field(default_factory=dict)
    """Options to choose, by the ids of fields."""
    planned: Planned | None = None
    """When it is planned for; people say it unless given."""


class JiraEnding(SpecModel):
    """The statuses in which an issue ends."""

    succeeded: Line = "Completed"
    """After a release that succeeded."""
    otherwise: Line = "Failed"
    """After any other that has changed something."""
    unused: Line = "Canceled"
    """When relman created it and nothing was changed."""
    through: Annotated[tuple[Line, ...], Field(max_length=10)] = ("Implementing",)
    """Statuses that it may pass on its way; the first one while the change goes on."""


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
    create: JiraCreate | None = None
    """The issue that is created for a release that brings none; without it a release must bring one."""
    ending: JiraEnding = JiraEnding()
    """In which status it ends, for `report: close`."""


class ServiceNowCreate(SpecModel):
    """The change request that is created for a release that brings none."""

    type: Literal["normal", "standard", "emergency"] = "normal"
    """Type of the change; that of an emergency release is `emergency`."""
    fields: Texts = Field(default_factory=dict)
    """What else is filled in, by the names of columns: `assignment_group`, `category`."""
    planned: Planned | None = None
    """When it is planned for; people say it unless given."""


class ServiceNowEnding(SpecModel):
    """The close codes of a change request."""

    succeeded: Line = "successful"
    """After a release that succeeded."""
    otherwise: Line = "unsuccessful"
    """After any other that has changed something."""


class ServiceNowTicket(TicketTerms):
    """A change request in ServiceNow."""

    system: Literal["servicenow"]
    """Where the ticket is."""
    connection: ConnectionId = "relman_servicenow"
    """Airflow connection id of the instance."""
    state: States = ("scheduled", "implement")
    """In which of these states it must be, as the instance calls them."""
    create: ServiceNowCreate | None = None
    """The change that is created for a release that brings none; without it a release must bring one."""
    ending: ServiceNowEnding = ServiceNowEnding()
    """With which code it is closed, for `report: close`."""
