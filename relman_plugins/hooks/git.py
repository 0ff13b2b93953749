"""Airflow connection → what signs in to a Git server."""

from __future__ import annotations

import base64
from typing import Any

from relman_plugins.domain.repository import host_of
from relman_plugins.errors import ClientRejected, ClientUnavailable, unread


def sign_in(conn_id: str, address: str) -> dict[str, str]:
    """Return the headers that sign in to the server of an address, by a connection.

    Raises:
        ClientUnavailable: the connection can't be read.
        ClientRejected: it is another server's.
    """
    from airflow.sdk import Connection

    try:
        connection = Connection.get(conn_id)
    except Exception as error:
        raise ClientUnavailable(
            f"cannot read connection {conn_id!r} of the repository: {unread(error)}; create it in Airflow "
            "(type HTTP), or name another in assess"
        ) from error
    return headers_of(conn_id, connection, address)


def headers_of(conn_id: str, connection: Any, address: str) -> dict[str, str]:
    """Return the headers that sign in, by a connection that says whose they are.

    The connection's host must be that of the address (and its port, if the address has one): whoever writes a
    spec must not be able to send a connection's login elsewhere. Of the extra field, ``token`` becomes a
    bearer token; else login and password are used.
    """
    scheme, _, host = (connection.host or "").rstrip("/").rpartition("://")
    scheme = scheme or connection.schema or "https"
    host = host.partition("/")[0].lower() + (f":{connection.port}" if connection.port else "")
    if not host or host != host_of(address) or not address.startswith(f"{scheme}://"):
        raise ClientRejected(
            f"connection {conn_id!r} is for {scheme}://{host or '(no host)'}, not for the repository; "
            "give it scheme, host and port of the repository's address"
        )
    if token := connection.extra_dejson.get("token"):
        return {"Authorization": f"Bearer {token}"}
    if connection.login:
        said = f"{connection.login}:{connection.password or ''}".encode()
        return {"Authorization": "Basic " + base64.b64encode(said).decode()}
    return {}
