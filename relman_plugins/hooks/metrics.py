"""Airflow connection → metrics client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.errors import ClientUnavailable

if TYPE_CHECKING:
    from relman_plugins.clients.prometheus import Prometheus


async def async_prometheus(conn_id: str) -> Prometheus:
    """Return a client of the metrics server behind a connection of type HTTP.

    The connection's schema (http or https), host, port and, when set, login and password are used; a bearer
    token goes in the extra field ``token``.

    Raises:
        ClientUnavailable: the connection can't be read.
    """
    from airflow.sdk import BaseHook

    try:
        connection = await BaseHook.aget_connection(conn_id)
    except Exception as error:
        raise ClientUnavailable(
            f"cannot read connection {conn_id!r} of the metrics server: {error}; create it in Airflow (type "
            "HTTP), or name another in the analysis"
        ) from error
    return _client(connection)


def _client(connection: Any) -> Prometheus:
    from relman_plugins.clients.prometheus import Prometheus

    host = connection.host or "localhost"
    base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    headers = {}
    if token := connection.extra_dejson.get("token"):
        headers["Authorization"] = f"Bearer {token}"
    auth = (connection.login, connection.password or "") if connection.login else None
    return Prometheus(f"{base}:{connection.port}" if connection.port else base, headers=headers, auth=auth)
