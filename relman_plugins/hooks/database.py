"""Airflow connection → the database behind it, by the hook that Airflow has for its type."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

from relman_plugins.errors import ClientRejected

_DIALECTS = {"postgres": "postgresql", "mysql": "mysql", "sqlite": "sqlite"}
"""Type of connection → dialect, of those that can be told to only read."""


class HookedDatabase:
    """A database, reached by the hook of Airflow's providers; safe to use from several threads."""

    def __init__(self, connection: Any) -> None:
        """Remember the connection as it was read."""
        self._connection = connection
        self._lock = threading.Lock()

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        return str(self._connection.conn_id)

    @property
    def dialect(self) -> str:
        """The dialect, of those that can be told to only read; else the connection's type."""
        kind = str(self._connection.conn_type)
        return _DIALECTS.get(kind, kind)

    @property
    def placeholder(self) -> str:
        """Where a value stands in a query, as the hook has it."""
        return str(self._hook.placeholder)

    def connect(self) -> Any:
        """Return a new connection of PEP 249.

        Raises:
            ClientRejected: the connection's type is no database that an installed provider knows.
        """
        return self._hook.get_conn()

    @property
    def _hook(self) -> Any:
        with self._lock:
            return self._made

    @cached_property
    def _made(self) -> Any:
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        try:
            hook = self._connection.get_hook()
        except Exception as error:
            raise ClientRejected(
                f"no provider here knows connections of type {self._connection.conn_type!r}; install the one "
                "of that database for the triggerer"
            ) from error
        if not isinstance(hook, DbApiHook):
            raise ClientRejected(
                f"connection {self.conn_id!r} is of type {self._connection.conn_type!r}, which is no "
                "database that SQL can be asked of"
            )
        # The connection as it was read: asking Airflow for it again with each query would cost a request.
        hook.get_connection = lambda _: self._connection
        return hook
