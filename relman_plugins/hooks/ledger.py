"""Airflow configuration and connection → the ledger, and what steps and triggers ask of it often."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relman_plugins import settings
from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Kind
from relman_plugins.errors import LedgerUnavailable, unread

if TYPE_CHECKING:
    from relman_plugins.domain.event import Event
    from relman_plugins.ledger.api import Ledger

LedgerSource = Callable[[], "Ledger"]
"""Gives the ledger, or raises LedgerUnavailable: asked anew each time, so that it can come back."""


def ledger() -> Ledger:
    """Return the ledger that Airflow is configured for; an embedded one is created when it is not there yet.

    Raises:
        LedgerUnavailable: it does not answer, or its connection can't be read.
    """
    return _open(ledger_url())


def ledger_url() -> str:
    """Return the SQLAlchemy address of the ledger.

    Reads the connection when one is configured, so it may ask Airflow's secrets backends.

    Raises:
        LedgerUnavailable: the configured connection can't be read.
    """
    conn_id = settings.ledger_conn_id()
    if not conn_id:
        return f"sqlite:///{settings.home() / 'ledger.db'}"
    from airflow.sdk import Connection

    try:
        return sqlalchemy_url(Connection.get(conn_id))
    except Exception as error:
        raise LedgerUnavailable(
            f"cannot read the connection {conn_id!r} named by [relman] ledger_conn_id ({unread(error)}); "
            "create it (type relman ledger), or empty the setting to use the embedded SQLite ledger"
        ) from error


def sqlalchemy_url(connection: Any) -> str:
    """Turn an Airflow connection to PostgreSQL into an address for psycopg 3.

    A host that begins with a slash is the folder of a socket. The connection's extra fields (``sslmode``,
    …) are passed on to libpq.
    """
    from sqlalchemy import URL

    host = connection.host or ""
    # A field of the form that was left empty is there, too, and says nothing.
    query = {k: str(v) for k, v in connection.extra_dejson.items() if isinstance(v, str | int) and v != ""}
    url = URL.create(
        "postgresql+psycopg",
        username=connection.login,
        password=connection.password,
        host=None if host.startswith("/") else host,
        port=connection.port,
        database=connection.schema,
        query=query | ({"host": host} if host.startswith("/") else {}),
    )
    return url.render_as_string(hide_password=False)


async def async_ledger_source() -> LedgerSource:
    """Return where a trigger gets the ledger from: the connection is read here, the loop not blocked.

    Never raises: an unreadable connection is reported each time the ledger is asked for.
    """
    conn_id = settings.ledger_conn_id()
    if not conn_id:
        url = ledger_url()
        return lambda: _open(url)
    from airflow.sdk import BaseHook

    try:
        url = sqlalchemy_url(await BaseHook.aget_connection(conn_id))
    except Exception as error:
        message = f"cannot read the connection {conn_id!r} named by [relman] ledger_conn_id: {unread(error)}"

        def unreadable() -> Ledger:
            raise LedgerUnavailable(message)

        return unreadable
    return lambda: _open(url)


def _open(url: str) -> Ledger:
    from relman_plugins.ledger.api import open_ledger
    from relman_plugins.ledger.rehearsal_clock import ahead_by

    file = settings.rehearsal_clock()
    return open_ledger(url, clock=ahead_by(file) if file is not None else None)


class Flags(Frozen):
    """What people have said about a whole release."""

    aborted_by: str = ""
    abort_reason: str = ""
    held_by: str = ""
    hold_reason: str = ""
    closed: bool = False
    superseded: str = ""
    """By which release, in words."""

    @property
    def over(self) -> bool:
        """Say whether nothing goes forward any more."""
        return bool(self.aborted_by or self.superseded or self.closed)


FLAG_KINDS = (
    Kind.ABORT_REQUESTED,
    Kind.RELEASE_HELD,
    Kind.RELEASE_RESUMED,
    Kind.RELEASE_SUPERSEDED,
    Kind.RELEASE_CLOSED,
)


def flags_of(ledger: Ledger, release_id: str) -> Flags:
    """Return what people have said about a release, as the ledger has it now."""
    return flags(ledger.events(release_id, kinds=list(FLAG_KINDS)))


def flags(events: list[Event]) -> Flags:
    """Fold the events of a release, oldest first, into its flags."""
    found = Flags()
    for event in events:
        who, reason = event.actor.name or event.actor.id, str(event.data.get("reason", ""))
        if event.kind is Kind.ABORT_REQUESTED and not found.aborted_by:
            found = found.model_copy(update={"aborted_by": who, "abort_reason": reason})
        elif event.kind is Kind.RELEASE_HELD:
            found = found.model_copy(update={"held_by": who, "hold_reason": reason})
        elif event.kind is Kind.RELEASE_RESUMED:
            found = found.model_copy(update={"held_by": "", "hold_reason": ""})
        elif event.kind is Kind.RELEASE_SUPERSEDED:
            found = found.model_copy(update={"superseded": reason})
        elif event.kind is Kind.RELEASE_CLOSED:
            found = found.model_copy(update={"closed": True})
    return found
