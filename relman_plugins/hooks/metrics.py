"""Airflow connection → metrics client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.errors import ClientUnavailable, unread

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

    The host may be a whole address; else schema (http unless given), host and port make one. Login and
    password are used when set. Of the extra field, ``token`` becomes a bearer token, and ``org_id`` the
    tenant of Mimir, Cortex and Loki (``X-Scope-OrgID``).
    """
    from relman_plugins.clients.prometheus import Prometheus

    host = connection.host or "localhost"
    base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    extra, headers = connection.extra_dejson, {}
    if token := extra.get("token"):
        headers["Authorization"] = f"Bearer {token}"
    if tenant := extra.get("org_id"):
        headers["X-Scope-OrgID"] = str(tenant)
    auth = (connection.login, connection.password or "") if connection.login else None
    return Prometheus(f"{base}:{connection.port}" if connection.port else base, headers=headers, auth=auth)
