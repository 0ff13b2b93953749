"""Airflow connection → client of a source of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from relman_plugins.domain.source import KINDS
from relman_plugins.errors import ClientUnavailable, unread
from relman_plugins.hooks.door import door_of

if TYPE_CHECKING:
    from relman_plugins.clients.metrics.base import Access, Source


class Opening(NamedTuple):
    """How a client of a source is made by what its connection says now; nothing is asked by that."""

    told: object
    """What the connection says: equal as long as it says the same. Never shown."""
    open: Callable[[], Source]


async def async_opening(kind: str, conn_id: str) -> Opening:
    """Return how the source behind a connection is opened, by what the connection says now.

    Raises:
        ClientUnavailable: the connection can't be read.
        ClientRejected: it has no host.
    """
    from airflow.sdk import BaseHook

    try:
        connection = await BaseHook.aget_connection(conn_id)
    except Exception as error:
        raise ClientUnavailable(
            f"cannot read connection {conn_id!r} of {KINDS[kind].label}: {unread(error)}; create it in "
            "Airflow, or name another in the analysis"
        ) from error
    return opening_of(kind, connection)


def opening_of(kind: str, connection: Any) -> Opening:
    """Return how the source that a connection describes is opened.

    Raises:
        ClientRejected: it has no host, or an address that is none.
    """
    from relman_plugins.clients.metrics.registry import source

    access = access_of(kind, connection)
    return Opening(access, lambda: source(kind, access))


def access_of(kind: str, connection: Any) -> Access:
    """Return where the source is that a connection describes, and how one signs in there.

    Address and login are those of ``hooks.door``, over http unless the schema says otherwise; ``org_id`` of
    the extra field is the tenant of Mimir, Cortex and Loki (``X-Scope-OrgID``).

    Raises:
        ClientRejected: it has no host.
    """
    from relman_plugins.clients.metrics.base import Access

    door = door_of(connection, scheme="http", host="localhost")
    extra = connection.extra_dejson
    tenant = extra.get("org_id")
    headers = door.headers | ({"X-Scope-OrgID": str(tenant)} if tenant else {})
    return Access(door.address, headers, door.auth, extra)


def checked(kind: str, connection: Any) -> str:
    """Ask the source that a connection describes something; return what it is, in a sentence.

    Not for an event loop: it runs one of its own.

    Raises:
        ClientError: it can't be asked, or answers nonsense.
    """
    import asyncio

    async def asked() -> str:
        found = opening_of(kind, connection).open()
        try:
            return await found.check()
        finally:
            await found.aclose()

    return asyncio.run(asked())
