"""Airflow connection → client of a source of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from relman_plugins.domain.source import DEFAULT, KINDS
from relman_plugins.errors import ClientRejected, ClientUnavailable, unread
from relman_plugins.hooks.door import door_of

if TYPE_CHECKING:
    from relman_plugins.clients.metrics.base import Access, Source


class Opening(NamedTuple):
    """How a client of a source is made by what its connection says now; nothing is asked by that."""

    told: object
    """What the connection says: equal as long as it says the same. Never shown."""
    open: Callable[[], Source]

    def __repr__(self) -> str:
        return "Opening(…)"


async def async_opening(kind: str, conn_id: str) -> Opening:
    """Return how the source behind a connection is opened, by what the connection says now.

    Raises:
        ClientUnavailable: the connection can't be read.
        ClientRejected: it has no host.
    """
    from airflow.sdk import BaseHook

    try:
        connection = await BaseHook.aget_connection(conn_id)
        # Read so, Airflow's supervisor hears what is to be masked in logs.
        await connection.aextra_dejson()
    except Exception as error:
        raise _unreadable(kind, conn_id, error) from error
    return opening_of(kind, connection)


def opening_of(kind: str, connection: Any) -> Opening:
    """Return how the source that a connection describes is opened.

    Raises:
        ClientRejected: it has no host, or an address that is none.
    """
    if kind == "sql":
        from relman_plugins.clients.metrics.sql import Sql
        from relman_plugins.hooks.database import HookedDatabase

        return Opening(connection.get_uri(), lambda: Sql(HookedDatabase(connection)))
    from relman_plugins.clients.metrics.registry import source

    access = access_of(kind, connection)
    return Opening(access, lambda: source(kind, access))


def access_of(kind: str, connection: Any) -> Access:
    """Return where the source is that a connection describes, and how one signs in there.

    Address and login are those of ``hooks.door``; over https unless the connection says otherwise, and of
    Prometheus over http. ``org_id`` of the extra field is the tenant of Mimir, Cortex and Loki
    (``X-Scope-OrgID``).

    Raises:
        ClientRejected: it has no host, or is of a type of relman's own for something else.
    """
    from relman_plugins.clients.metrics.base import Access

    of_relman = str(connection.conn_type or "")
    if of_relman.startswith("relman_") and of_relman != f"relman_{kind}":
        raise ClientRejected(
            f"connection {connection.conn_id!r} is of type {of_relman}, and the analysis asks a source of "
            f"kind {kind!r}: one of the two is wrong"
        )
    plain = kind == DEFAULT
    door = door_of(connection, scheme="http" if plain else "https", host="localhost" if plain else "")
    extra = connection.extra_dejson
    tenant = extra.get("org_id")
    headers = door.headers | ({"X-Scope-OrgID": str(tenant)} if tenant else {})
    return Access(door.address, headers, door.auth, connection.password or "", extra)


def check(kind: str, conn_id: str) -> str:
    """Do as ``checked``, by a connection's id."""
    from airflow.sdk import Connection

    try:
        connection = Connection.get(conn_id)
    except Exception as error:
        raise _unreadable(kind, conn_id, error) from error
    return checked(kind, connection)


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


def _unreadable(kind: str, conn_id: str, error: Exception) -> ClientUnavailable:
    return ClientUnavailable(
        f"cannot read connection {conn_id!r} of {KINDS[kind].label}: {unread(error)}; create it in Airflow, "
        "or name another in the analysis"
    )
