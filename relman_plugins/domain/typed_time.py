"""Points in time as people type them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def moment_of(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Read ``22:00`` (the next time that it is) or ``2026-11-25T22:00``; the result is aware.

    ``now`` is aware. What names no zone is in ``zone``; None: this machine's.

    Raises:
        ValueError: It is anything else; the message is for people.
    """
    text = text.strip()
    now = now.astimezone(zone)
    if found := _OF_DAY.fullmatch(text):
        # Naive arithmetic, then the zone: the same time tomorrow, also when clocks are changed in between.
        local = now.replace(tzinfo=None, hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
        at = _placed(local, zone)
        return at if at > now else _placed(local + timedelta(days=1), zone)
    try:
        return _placed(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:60]!r} is no point in time; expected 22:00, or 2026-11-25T22:00+01:00"
        ) from None


def _placed(at: datetime, zone: tzinfo | None) -> datetime:
    return at.replace(tzinfo=zone) if at.tzinfo is None and zone is not None else at.astimezone()
