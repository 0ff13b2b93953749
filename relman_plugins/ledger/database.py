"""Connections and transactions: the one place that knows which database is behind the ledger."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from relman_plugins.domain.base import canonical_json
from relman_plugins.errors import LedgerConflict, LedgerError, LedgerUnavailable

PATIENCE_S = 10.0
"""How long a call waits for another writer, in seconds, before it gives up with LedgerUnavailable."""

_HOLD = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_BEGUN = text("SELECT clock_timestamp(), set_config('lock_timeout', :patience, true)")
_CLOCK_HOLDS_S = 60.0
"""For how long the database server's clock is counted on from the last look at it, in seconds."""


def utc_now() -> datetime:
    """Return the present, aware, in UTC."""
    return datetime.now(UTC)


def serialise(conn: Connection, *names: str) -> None:
    """Wait until no other transaction holds any of ``names``, then hold them until this one ends.

    Names are taken in one order everywhere (``lock:``, then ``release:``, then ``ids``; sorted within a
    call), so that two writers never wait for each other in a ring. SQLite has one writer at a time anyway.
    """
    if conn.dialect.name == "postgresql":
        for name in sorted(set(names)):
            conn.execute(_HOLD, {"name": f"relman:{name}"})


class Database:
    """A database by URL: lazy, safe in threads, and safe after ``fork``.

    Raises (from ``read`` and ``write``): LedgerUnavailable when the database does not answer in time, has no
    relman schema or its driver is missing; LedgerConflict when a constraint was broken by another writer;
    LedgerError for anything else the database refuses. Never an SQLAlchemy error, never a password.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] | None = None) -> None:
        self._url = url
        self._clock = clock
        # The server's time, and this machine's monotonic seconds, at the last look.
        self._seen: tuple[datetime, float] | None = None
        # By process: a forked worker must not use its parent's sockets, nor close them. The parent's engine
        # stays referenced in the child for ever, because collecting it would close its connections.
        self._engines: dict[int, Engine] = {}

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        pid = os.getpid()
        found = self._engines.get(pid)
        # setdefault is atomic and an engine connects lazily, so the loser of a race leaves nothing open; a
        # mutex could be held by another thread at the moment of a fork.
        return found if found is not None else self._engines.setdefault(pid, _make_engine(self._url))

    def now(self) -> datetime:
        """Return the present by the ledger's clock, in UTC: one clock for all machines.

        PostgreSQL's is its server's, since the machines that write and judge may differ by minutes. SQLite's
        is this machine's: the file is used on one.
        """
        if self._clock is not None:
            return self._clock()
        if self.engine.dialect.name != "postgresql":
            return utc_now()
        if self._seen is None or time.monotonic() - self._seen[1] > _CLOCK_HOLDS_S:
            with self.write():
                pass
        assert self._seen is not None  # noqa: S101 - each transaction looks
        at, then = self._seen
        return at + timedelta(seconds=time.monotonic() - then)

    @property
    def label(self) -> str:
        """The URL for people, without its password and its options, which may hold another one."""
        try:
            url = make_url(self._url)
        except ArgumentError:
            return "(not a database URL)"
        socket = {k: v for k, v in url.query.items() if k == "host"}
        return url.set(query=socket).render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for other databases."""
        url = self.engine.url
        return Path(url.database or "") if url.get_backend_name() == "sqlite" else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only view of one moment."""
        with self._translated(), self._begun(write=False) as conn:
            yield conn

    @contextmanager
    def write(self, *names: str) -> Iterator[Connection]:
        """Open a transaction that excludes every other writer of the same ``names``; commit at the end.

        On SQLite there is one writer at a time anyway.
        """
        with self._translated(), self._begun(write=True) as conn:
            serialise(conn, *names)
            yield conn

    def use_wal(self) -> None:
        """Let readers of a SQLite file never wait for its writer: a property of the file, set once."""
        with self._translated():
            for attempt in _attempts():
                with attempt, self.engine.connect() as conn:
                    # The driver's own connection: the mode can't be changed inside a transaction.
                    conn.connection.cursor().execute("PRAGMA journal_mode = WAL")
                    return

    def close(self) -> None:
        """Close this process's idle connections. The object stays usable."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()

    @contextmanager
    def _begun(self, *, write: bool) -> Iterator[Connection]:
        conn = self._begin(write)
        try:
            yield conn
            conn.commit()
        finally:
            conn.close()

    def _begin(self, write: bool) -> Connection:
        for attempt in _attempts():
            with attempt:
                conn = self.engine.connect()
                try:
                    if conn.dialect.name == "sqlite":
                        conn = conn.execution_options(relman_write=write)
                    elif not write:
                        conn = conn.execution_options(
                            isolation_level="REPEATABLE READ", postgresql_readonly=True
                        )
                    conn.begin()
                    if write and conn.dialect.name == "postgresql":
                        begun = {"patience": f"{PATIENCE_S:.0f}s"}
                        at = conn.execute(_BEGUN, begun).one()[0]
                        self._seen = at.astimezone(UTC), time.monotonic()
                except BaseException:
                    conn.close()
                    raise
                return conn
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise LedgerConflict(
                f"ledger {self.label}: another writer was first, nothing was written ({_first_line(error)}); "
                "read the ledger again and decide anew"
            ) from error
        except ProgrammingError as error:
            raise self._unusable(error) from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            if "no such table" in str(error) or "no such column" in str(error):
                raise self._unusable(error) from error
            if not _is_absence(error):
                raise LedgerError(f"ledger {self.label} refused a statement: {_first_line(error)}") from error
            raise LedgerUnavailable(f"ledger {self.label} {_trouble(error)}") from error

    def _unusable(self, error: Exception) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"ledger {self.label} is not as this relman needs it: {_first_line(error)}; "
            "run `relman ledger migrate`"
        )


def _attempts() -> Iterator[AbstractContextManager[None]]:
    """Try again while SQLite says that the file is locked, for ``PATIENCE_S`` at most.

    Its own waiting doesn't cover every case: a log being recovered, or a changing mode, is reported at once.
    """
    deadline = time.monotonic() + PATIENCE_S

    @contextmanager
    def attempt() -> Iterator[None]:
        try:
            yield
        except (OperationalError, sqlite3.OperationalError) as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - spreads the writers, protects nothing

    while True:
        yield attempt()


def _make_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerUnavailable(
            "the ledger's URL is not a database URL; expected sqlite:////path/to/ledger.db or "
            "postgresql+psycopg://user@host/database in [relman] ledger_url or connection relman_ledger"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise LedgerUnavailable(
                "the ledger can't be an in-memory database, since several processes share it; "
                "expected sqlite:////path/to/ledger.db"
            )
        engine = create_engine(
            parsed, json_serializer=canonical_json, hide_parameters=True, pool_size=5, max_overflow=20
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if backend not in ("postgresql", "postgres"):
        raise LedgerUnavailable(f"the ledger can't be kept in {backend!r}; expected sqlite or postgresql")
    try:
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            json_serializer=canonical_json,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=20,
            pool_timeout=15,
            # Nothing prepared on the server, so that a transaction pooler in between is fine.
            connect_args={
                "connect_timeout": 5,
                "prepare_threshold": None,
                "keepalives_idle": 10,
                "tcp_user_timeout": 15_000,
            },
        )
    except ModuleNotFoundError as error:
        raise LedgerUnavailable(
            f"the driver of PostgreSQL is not installed ({error.name}); pip install 'relman[postgres]'"
        ) from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Transactions are begun by hand below: sqlite3's own would begin late and deferred, and fail at the
    # first write when somebody else wrote in between.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {int(PATIENCE_S * 1000)}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(conn: Connection) -> None:
    conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get("relman_write") else "BEGIN")


def _is_absence(error: Exception) -> bool:
    """Say whether the database is away or broken, rather than the statement wrong."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout | sqlite3.OperationalError):
        return True
    # A file that is damaged, or no database at all, has no class of its own.
    orig = getattr(error, "orig", None) or error
    return type(orig) is sqlite3.DatabaseError or bool(getattr(error, "connection_invalidated", False))


def _trouble(error: Exception) -> str:
    """Return what is the matter and what to do, to follow the ledger's name."""
    said = _first_line(error)
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if state == "53100" or "disk is full" in said:
        return (
            f"has no room left ({said}); nothing was written. Free space where the database keeps its files"
        )
    if state == "55P03" or "database is locked" in said:
        return (
            f"is held by another writer for more than {PATIENCE_S:.0f} s ({said}); nothing was written. Look "
            "for a process that hangs in a transaction, or a migration that is still at work, and try again"
        )
    return (
        f"does not answer: {said}; check that the database is up and that this machine may reach and write it"
    )


def _first_line(error: Exception) -> str:
    orig = getattr(error, "orig", None) or error
    return (str(orig).strip().splitlines() or [type(orig).__name__])[0]
