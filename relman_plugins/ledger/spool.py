"""A local file for events that must not wait for the ledger: a rollback's, while the database is down.

One JSON object a line. What was spooled reaches the ledger once: the events' keys see to that.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from relman_plugins.domain.base import canonical_json
from relman_plugins.domain.event import NewEvent
from relman_plugins.errors import LedgerConflict, LedgerError, LedgerUnavailable
from relman_plugins.ledger.database import utc_now
from relman_plugins.ledger.engine import Ledger
from relman_plugins.ledger.record import check_recordable, clean_json

_log = logging.getLogger(__name__)

_CURRENT = "events.jsonl"
_TAKEN = "taken-*.jsonl"
_KEPT = "unusable.jsonl"


def write(folder: Path, release_id: str, event: NewEvent) -> None:
    """Append an event to the spool in ``folder``; it is on the disk when this returns.

    An event without a time gets the present one. Safe with other writers and with ``replay``. Raises OSError
    when the disk refuses, and LedgerError for the kinds that only the ledger's own calls write.
    """
    check_recordable(event)
    event = event if event.at else event.model_copy(update={"at": utc_now()})
    line = canonical_json(clean_json({"release_id": release_id, "event": event.model_dump(mode="json")}))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _exclusive(folder / "spool.lock"):
        _append(folder / _CURRENT, line)


def replay(folder: Path, ledger: Ledger) -> int:
    """Record what was spooled and remove it; return how many events were new to the ledger.

    Safe at any moment of any crash: what was taken is removed only after all of it is recorded, and recording
    is idempotent. Lines that can't be recorded (torn by a crash, of an unknown release) are set aside in
    ``unusable.jsonl`` and logged. Raises LedgerUnavailable with everything not yet recorded still there.
    """
    if not folder.is_dir():
        return 0
    count = 0
    with _exclusive(folder / "replay.lock"):
        with _exclusive(folder / "spool.lock"):
            if (folder / _CURRENT).exists():
                # Moved away under the writers' lock: nobody appends to it from here on.
                (folder / _CURRENT).rename(folder / f"taken-{uuid.uuid4().hex}.jsonl")
        for taken in sorted(folder.glob(_TAKEN)):
            for line in taken.read_bytes().splitlines():
                count += _record(folder, ledger, line)
            taken.unlink()
    return count


def _record(folder: Path, ledger: Ledger, line: bytes) -> int:
    if not line.strip():
        return 0
    try:
        entry = json.loads(line)
        return ledger.record(entry["release_id"], NewEvent.model_validate(entry["event"])) is not None
    except (LedgerUnavailable, LedgerConflict):
        # Both may be otherwise the next time: the line stays where it is.
        raise
    except (ValueError, KeyError, TypeError, ValidationError, LedgerError) as error:
        _log.error("spooled event set aside in %s: %s", folder / _KEPT, error)
        _append(folder / _KEPT, line.decode("utf-8", "replace"))
        return 0


def _append(path: Path, line: str) -> None:
    created = not path.exists()
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(fd).st_size
        # A crash may have torn the last line; this one must not be joined to it.
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        rest = (b"\n" if torn else b"") + line.encode() + b"\n"
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    if created:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
