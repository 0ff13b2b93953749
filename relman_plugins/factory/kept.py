"""Where entries are kept: rows of one SQLite file. A file for each of a thousand specs is dear to make."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

NAME = "specs.sqlite"

AT_ONCE = 100
"""Entries of one transaction: Airflow may end a parse at any time, and the next one goes on from there."""

BUSY_S = 1.0
"""How long a load waits for another process that writes, before it does without."""


class Kept:
    """Entries by name, in a folder that nobody but this user may write; for one load, closed at its end.

    All of them can be made again. So they are not flushed to the disk, and a file that is no database any
    more is removed. Processes may use it side by side.

    Args:
        folder: where the file is; it must be there before anything is kept.
        most: entries above which all are forgotten: what is gone must not stay for ever.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._path = folder / NAME
        self._most = most
        self._open: sqlite3.Connection | None = None
        self._readable = True
        self._waiting: dict[bytes, bytes] = {}

    def get(self, name: bytes) -> bytes | None:
        """Return an entry; None when there is none that can be read. Never raises for what is there."""
        if not self._readable:
            return None
        try:
            if self._path.is_file():
                found = (
                    self._connection().execute("SELECT body FROM entry WHERE name = ?", (name,)).fetchone()
                )
                return bytes(found[0]) if found else None
        except (sqlite3.Error, OSError):
            pass
        # Nothing is read any more: to wait for the same lock at each of a thousand specs would be worse.
        self._readable = False
        return None

    def put(self, name: bytes, body: bytes) -> None:
        """Keep an entry: at the latest when this is closed.

        Raises:
            OSError: nothing can be kept here.
        """
        self._waiting[name] = body
        if len(self._waiting) >= AT_ONCE:
            self._write()

    def close(self) -> None:
        """Write what waits, and let go of the file.

        Raises:
            OSError: nothing can be kept here.
        """
        try:
            if self._waiting:
                self._write()
        finally:
            if self._open is not None:
                self._open.close()
                self._open = None

    def _write(self) -> None:
        entries, self._waiting = self._waiting, {}
        try:
            with self._connection() as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS entry (name BLOB PRIMARY KEY, body BLOB NOT NULL)"
                )
                (count,) = connection.execute("SELECT count(*) FROM entry").fetchone()
                if count > self._most:
                    connection.execute("DELETE FROM entry")
                connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?)", entries.items())
        except sqlite3.OperationalError as error:
            raise OSError(str(error)) from error
        except sqlite3.DatabaseError as error:
            self._remove()
            raise OSError(f"{error}; it was removed, the next parse begins a new one") from error

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            # Made here, so that it is this user's alone whatever the umask. One that is there is not opened:
            # to close it would drop this process's locks on it, as POSIX has them.
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            if self._path.is_symlink():
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self._path))
            self._open = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            self._open.execute("PRAGMA synchronous = OFF")
        return self._open

    def _remove(self) -> None:
        """Remove the file, and before it what SQLite would bring a new one of that name to."""
        for path in (self._path.with_name(f"{NAME}-journal"), self._path):
            path.unlink(missing_ok=True)
