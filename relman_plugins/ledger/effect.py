"""Approve now, take effect later: from when an approval may be acted upon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from relman_plugins.domain.status import Decision

FARTHEST = timedelta(days=366)
"""No wait in a release is longer than a year."""


def checked(
    subject: dict[str, Any], decision: Decision, not_before: datetime | None, now: datetime
) -> datetime | None:
    """Return from when an approval is to take effect, in UTC; None: at once.

    Raises:
        ValueError: with what is wrong, in words for the person who voted.
    """
    if not_before is None:
        return None
    if "step" in subject:
        raise ValueError("only an approval before a change takes effect later; leave the time out")
    if decision is not Decision.APPROVE:
        raise ValueError("a rejection takes effect at once; leave the time out")
    if not_before.tzinfo is None:
        raise ValueError(
            f"{not_before.isoformat()} has no time zone; say one, as in {now:%Y-%m-%dT22:00+00:00}"
        )
    at = not_before.astimezone(UTC)
    if at <= now:
        raise ValueError(
            f"{at:%Y-%m-%d %H:%M} UTC is over; say a later time, or none to let it begin at once"
        )
    if at > now + FARTHEST:
        raise ValueError(
            f"{at:%Y-%m-%d %H:%M} UTC is more than {FARTHEST.days} days away; say an earlier time"
        )
    return at
