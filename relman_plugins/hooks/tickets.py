"""Airflow connection → client of a system that keeps change tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.domain.ticket_number import SYSTEMS
from relman_plugins.errors import ClientUnavailable, unread
from relman_plugins.hooks.door import door_of

if TYPE_CHECKING:
    from relman_plugins.clients.tickets.base import Tickets
    from relman_plugins.domain.ticket import TicketFields


def tickets(system: str, conn_id: str, fields: TicketFields | None = None) -> Tickets:
    """Return a client of the system behind a connection; nothing is asked of the system yet.

    ``fields`` say where in a ticket of Jira what is asked stands.

    Raises:
        ClientError: The connection can't be read, or its host is no address.
    """
    from airflow.sdk import Connection

    try:
        connection = Connection.get(conn_id)
    except Exception as error:
        raise _unreadable(system, conn_id, error) from error
    return tickets_of(system, connection, fields)


async def async_tickets(system: str, conn_id: str, fields: TicketFields | None = None) -> Tickets:
    """Do as ``tickets``, from a trigger: the secrets backends are asked without blocking the loop."""
    from airflow.sdk import BaseHook

    try:
        connection = await BaseHook.aget_connection(conn_id)
    except Exception as error:
        raise _unreadable(system, conn_id, error) from error
    return tickets_of(system, connection, fields)


def tickets_of(system: str, connection: Any, fields: TicketFields | None = None) -> Tickets:
    """Return a client of the system that a connection describes.

    Address and login are those of ``hooks.door``.

    Raises:
        ClientRejected: There is no host, or it is no address.
    """
    from relman_plugins.clients.tickets.registry import tickets as client

    door = door_of(connection)
    return client(system, door.address, headers=door.headers, auth=door.auth, fields=fields)


def _unreadable(system: str, conn_id: str, error: Exception) -> ClientUnavailable:
    return ClientUnavailable(
        f"cannot read connection {conn_id!r} of {SYSTEMS[system]}: {unread(error)}; create it in Airflow "
        f"(type relman {SYSTEMS[system]}), or name another in the gate"
    )
