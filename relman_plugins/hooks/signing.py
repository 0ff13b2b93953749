"""Airflow connection → the key that the record and what is exported of it are signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins import settings
from relman_plugins.errors import ClientUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def signing_key() -> Ed25519PrivateKey | None:
    """Return the private key of the connection ``[relman] signing_conn_id`` names; None when none is named.

    Raises:
        ClientUnavailable: One is named, and can't be read or has no such key.
    """
    conn_id = settings.signing_conn_id()
    if not conn_id:
        return None
    from airflow.sdk import Connection

    try:
        return key_of(Connection.get(conn_id))
    except Exception as error:
        raise ClientUnavailable(
            f"cannot sign with the connection {conn_id!r} named by [relman] signing_conn_id: {error}; "
            "create it (type relman signing key), or empty the setting to go without signatures"
        ) from error


def key_of(connection: Any) -> Ed25519PrivateKey:
    """Return the key in a connection's password; ValueError, which quotes nothing of it, without one."""
    from relman_plugins.ledger.keys import private_key

    if not connection.password:
        raise ValueError("its password is empty; it holds the private key")
    return private_key(connection.password)
