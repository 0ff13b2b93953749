"""Which client asks which system."""

from __future__ import annotations

from collections.abc import Mapping

from relman_plugins.clients.tickets.base import Tickets
from relman_plugins.domain.ticket import TicketFields


def tickets(
    system: str,
    base_url: str,
    *,
    headers: Mapping[str, str] | None,
    auth: tuple[str, str] | None,
    fields: TicketFields | None = None,
) -> Tickets:
    """Return the client of a system (as specs name it) at an address; nothing is asked yet.

    ``fields`` say where in a ticket of Jira what is asked stands.

    Raises:
        ClientRejected: ``base_url`` is not an ``http`` or ``https`` address.
    """
    if system == "jira":
        from relman_plugins.clients.tickets.jira import Jira

        return Jira(base_url, headers=headers, auth=auth, fields=fields)
    from relman_plugins.clients.tickets.servicenow import ServiceNow

    return ServiceNow(base_url, headers=headers, auth=auth)
