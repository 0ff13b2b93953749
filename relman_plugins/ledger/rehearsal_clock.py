"""A clock that people move: for rehearsing windows, calendars and time limits without waiting for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relman_plugins.errors import LedgerUnavailable


def ahead_by(file: Path) -> Callable[[], datetime]:
    """Return a clock that is ahead of this machine's by the seconds that a file says, read at each look.

    Without the file it is this machine's. It raises LedgerUnavailable when the file says anything else: then
    nothing goes forward.
    """

    def now() -> datetime:
        try:
            return datetime.now(UTC) + timedelta(seconds=float(file.read_text()))
        except FileNotFoundError:
            return datetime.now(UTC)
        except (OSError, ValueError, OverflowError) as error:
            raise LedgerUnavailable(
                f"the file of [relman] rehearsal_clock, {file}, says no number of seconds: write one, such "
                "as 3600, or remove the file"
            ) from error

    return now
