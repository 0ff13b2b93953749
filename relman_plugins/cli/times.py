"""Points in time as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from relman_plugins.cli.exits import Exit, Stop

_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def moment_of(text: str, option: str, now: datetime | None = None) -> datetime:
    """Read ``22:00`` (the next time that it is) or ``2026-11-25T22:00``; without a zone, in this machine's.

    ``now`` is aware. Raises Stop for anything else.
    """
    now = (now or datetime.now(UTC)).astimezone()
    if found := _OF_DAY.fullmatch(text.strip()):
        # Naive arithmetic, then the zone: the same time tomorrow, also when clocks are changed in between.
        local = now.replace(tzinfo=None, hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
        at = local.astimezone()
        return at if at > now else (local + timedelta(days=1)).astimezone()
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise Stop(
            Exit.USAGE,
            f"{option}: {text[:60]!r} is no point in time; expected 22:00, or 2026-11-25T22:00+01:00",
        ) from None
