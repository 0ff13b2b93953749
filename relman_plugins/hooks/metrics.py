"""Airflow connection → metrics client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.errors import ClientUnavailable, unread
from relman_plugins.hooks.door import door_of

if TYPE_CHECKING:
    from relman_plugins.clients.prometheus import Prometheus


async def async_prometheus(conn_id: str) -> Prometheus:
    """Return a client of the metrics server behind a connection of type ``relman_prometheus`` or ``http``.

    Raises:
        ClientUnavailable: the connection can't be read.
    """
    from airflow.sdk import BaseHook

    try:
        connection = await BaseHook.aget_connection(conn_id)
    except Exception as error:
        raise ClientUnavailable(
            f"cannot read connection {conn_id!r} of the metrics server: {unread(error)}; create it in "
            "Airflow (type relman metrics), or name another in the analysis"
        ) from error
    return prometheus_of(connection)


def prometheus_of(connection: Any) -> Prometheus:
    """Return a client of the metrics server that a connection describes; nothing is asked yet.

    Address and login are those of ``hooks.door``, over http unless the schema says otherwise; ``org_id`` of
    the extra field is the tenant of Mimir, Cortex and Loki (``X-Scope-OrgID``).
    """
    from relman_plugins.clients.prometheus import Prometheus

    door = door_of(connection, scheme="http", host="localhost")
    tenant = connection.extra_dejson.get("org_id")
    headers = door.headers | ({"X-Scope-OrgID": str(tenant)} if tenant else {})
    return Prometheus(door.address, headers=headers, auth=door.auth)
