"""Points in time as options have them."""

from __future__ import annotations

from datetime import UTC, datetime

from relman_plugins.cli.exits import Exit, Stop
from relman_plugins.domain import typed_time


def moment_of(text: str, option: str, now: datetime | None = None) -> datetime:
    """Read ``22:00`` (the next time that it is) or ``2026-11-25T22:00``; without a zone, in this machine's.

    ``now`` is aware. Raises Stop for anything else.
    """
    try:
        return typed_time.moment_of(text, now or datetime.now(UTC))
    except ValueError as error:
        raise Stop(Exit.USAGE, f"{option}: {error}") from None
