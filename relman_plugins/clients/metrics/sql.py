"""Any SQL database: one number for one query that reads.

Values are bound by the driver, never put into the text. The database is asked in threads of this source's
own, a few at once, each on a connection of its own that is rolled back and closed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from typing import Any, Protocol

from relman_plugins.clients.metrics.base import Answer, Question, Source, unshown
from relman_plugins.domain.sql_query import parts
from relman_plugins.errors import ClientError, ClientRejected, ClientUnavailable, recordable

THREADS = 4
"""So many queries a database gets at once."""

LIMIT_S = 20
"""Seconds for one query, where the database can be told."""

_FIRST: dict[str, tuple[str, ...]] = {
    # https://www.postgresql.org/docs/current/sql-set-transaction.html, and runtime-config-client.html
    "postgresql": (
        "SET TRANSACTION READ ONLY",
        # For those after it, too; the rollback at the end takes it back, for a pool may keep the session.
        "SET default_transaction_read_only = on",
        f"SET LOCAL statement_timeout = {LIMIT_S * 1000}",
    ),
    # https://dev.mysql.com/doc/refman/8.4/en/set-transaction.html, and server-system-variables.html
    "mysql": ("SET SESSION TRANSACTION READ ONLY", f"SET SESSION max_execution_time = {LIMIT_S * 1000}"),
    # https://www.sqlite.org/pragma.html#pragma_query_only
    "sqlite": ("PRAGMA query_only = ON",),
}
"""Dialect → what makes a connection read only, and its queries end."""

_WRONG = frozenset({"ProgrammingError", "DataError", "NotSupportedError", "IntegrityError"})
"""Errors of PEP 249 that another try does not change."""

log = logging.getLogger(__name__)


class Database(Protocol):
    """What an Airflow hook knows of its database."""

    @property
    def conn_id(self) -> str:
        """The connection's id."""

    @property
    def dialect(self) -> str:
        """``postgresql``, ``mysql``, ``sqlite``, or another."""

    @property
    def placeholder(self) -> str:
        """Where a value stands in a query: ``%s`` or ``?``."""

    def connect(self) -> Any:
        """Return a new connection of PEP 249."""


class Sql(Source):
    """A database."""

    kind = "sql"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"relman-sql-{database.conn_id}")

    async def number(self, question: Question) -> Answer:
        """Ask for one row of one column that is a number. NULL and no row are none; text is an error.

        ``$window`` is bound as seconds. Who is cancelled leaves the query to its end in its thread.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, question)

    async def check(self) -> str:
        """Select 1."""
        if (await self.number(Question("SELECT 1"))).value != 1:
            raise ClientUnavailable("the database does not know that 1 is 1")
        return "The database answers queries."

    async def aclose(self) -> None:
        """Let nothing new begin; what runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, question: Question) -> Answer:
        # Here, since the first look for the placeholder loads the provider and its driver.
        statement, values = bound(question, self._database.placeholder, self._database.dialect)
        try:
            connection = self._database.connect()
        except Exception as error:
            log.exception("the database of connection %s can't be reached", self._database.conn_id)
            raise ClientUnavailable(f"{self._where} can't be reached: {recordable(error)}") from error
        with closing(connection):
            try:
                with closing(connection.cursor()) as cursor:
                    self._begin(connection, cursor)
                    # Without values a driver takes a percent sign as it is.
                    cursor.execute(statement, values) if values else cursor.execute(statement)
                    rows = cursor.fetchmany(2)
                connection.rollback()
            except Exception as error:
                raise self._failed(error) from error
        return self._only(rows)

    def _begin(self, connection: Any, cursor: Any) -> None:
        dialect = self._database.dialect
        for statement in _FIRST.get(dialect, ()):
            cursor.execute(statement)
        if dialect == "sqlite":
            until = time.monotonic() + LIMIT_S
            connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)

    def _only(self, rows: Sequence[Any]) -> Answer:
        if not rows:
            return Answer(None, "the query gave no row")
        if len(rows) > 1:
            raise ClientRejected("the query gives several rows; expected one number: aggregate, or LIMIT 1")
        row = list(rows[0].values()) if isinstance(rows[0], Mapping) else list(rows[0])
        if len(row) != 1:
            raise ClientRejected(f"the query gives {len(row)} columns; expected one number")
        value = row[0]
        if value is None:
            return Answer(None, "the query gave NULL")
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise ClientRejected(f"the query gives a {type(value).__name__}; expected a number: CAST it")
        number = float(value)
        return Answer(None, "the query gave NaN") if math.isnan(number) else Answer(number)

    def _failed(self, error: Exception) -> ClientError:
        """Return what became of a query; what a database says of one is its author's to read."""
        names = {kind.__name__ for kind in type(error).__mro__}
        if "Error" not in names:
            log.error("connection %s could not be asked", self._database.conn_id, exc_info=error)
            return ClientUnavailable(f"{self._where} could not be asked: {recordable(error)}")
        said = f"{self._where} says {type(error).__name__}: {unshown(error)}"
        return ClientRejected(said) if names & _WRONG else ClientUnavailable(said)

    @property
    def _where(self) -> str:
        return f"the database of connection {self._database.conn_id!r}"


def bound(question: Question, placeholder: str, dialect: str = "") -> tuple[str, tuple[Any, ...]]:
    """Return a statement with a placeholder for each value, and the values in that order.

    Raises:
        ClientRejected: It is no single query that reads, names something else, or has a value in quotes.
    """
    known: dict[str, Any] = {
        "service": question.service,
        "environment": question.environment,
        "version": question.version,
        "track": question.track,
        "stable": question.stable,
    }
    known |= {"window": question.window_s} if question.window_s is not None else {}
    try:
        found = parts(question.query, dialect)
    except ValueError as error:
        raise ClientRejected(f"the query can't be asked: {error}") from error
    values: list[Any] = []
    text: list[str] = []
    for part in found:
        if part.kind == "code":
            text.append(part.text)
        elif part.text not in known:
            names = ", ".join(f"${name}" for name in known)
            raise ClientRejected(f"the query names ${part.text}; expected one of {names}")
        else:
            text.append("\0")
            values.append(known[part.text])
    if values and placeholder == "%s":
        text = [piece.replace("%", "%%") for piece in text]
    return "".join(text).replace("\0", placeholder), tuple(values)
