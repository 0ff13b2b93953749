"""Where a connection of Airflow leads, and how one signs in there: for everything that speaks HTTP."""

from __future__ import annotations

from typing import Any, NamedTuple

from relman_plugins.errors import ClientRejected


class Door(NamedTuple):
    """An address and a login, as ``clients.http.client`` takes them."""

    address: str
    headers: dict[str, str]
    auth: tuple[str, str] | None


def door_of(connection: Any, *, scheme: str = "https", host: str = "") -> Door:
    """Return where a connection leads.

    Its host may be a whole address; else schema (``scheme`` unless given), host and port make one. Login and
    password are used when set; ``token`` of the extra field becomes a bearer token instead.

    Args:
        connection: Airflow's.
        scheme: what the address begins with when the connection says nothing.
        host: what is asked when the connection names no host. Only where everybody may be told its login:
            whoever writes a spec chooses the connection.

    Raises:
        ClientRejected: it has no host, and there is no other.
    """
    there = (connection.host or "").rstrip("/") or host
    if not there:
        raise ClientRejected(f"connection {connection.conn_id!r} has no host; give it the system's address")
    base = there if "://" in there else f"{connection.schema or scheme}://{there}"
    token = connection.extra_dejson.get("token")
    return Door(
        address=f"{base}:{connection.port}" if connection.port else base,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        auth=(connection.login, connection.password or "") if connection.login and not token else None,
    )
