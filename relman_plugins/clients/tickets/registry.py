"""Which client asks which system."""

from __future__ import annotations

from collections.abc import Mapping

from relman_plugins.clients.tickets.base import Tickets


def tickets(
    system: str, base_url: str, *, headers: Mapping[str, str] | None, auth: tuple[str, str] | None
) -> Tickets:
    """Return the client of a system (as specs name it) at an address; nothing is asked yet.

    Raises:
        ClientRejected: ``base_url`` is not an ``http`` or ``https`` address.
    """
    from relman_plugins.clients.tickets.servicenow import ServiceNow

    return {"servicenow": ServiceNow}[system](base_url, headers=headers, auth=auth)
