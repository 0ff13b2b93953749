"""What every kind of report comes to: a verdict with its reason, and figures for the record."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from relman_plugins.domain.base import Frozen


class Reading(Frozen):
    """A report that was read, held against a suite's limits."""

    passed: bool
    reason: str
    """The figures, and the limit that was missed if one was."""
    whole: bool = True
    """Whether the report could be read at all."""
    blemished: bool = False
    """Whether it holds something bad that the limits tolerate: a tool may end with an exit code for it."""
    data: dict[str, Any] = Field(default_factory=dict)
    """Figures for the ledger, as JSON."""
    remembered: dict[str, Any] = Field(default_factory=dict)
    """What later releases are compared with and people need not see, as JSON."""


class Before(Frozen):
    """What the latest release that succeeded recorded of the same suite."""

    version: str
    release_id: str
    coverage: dict[str, Any] | None = None
    """The figures of its coverage, as ``coverage.judge`` wrote them."""
    fingerprints: frozenset[str] | None = None
    """Of its findings; None when it recorded none because it had no such report."""


def refused(reason: str) -> Reading:
    """Return the reading of a report that could not be read: never green."""
    return Reading(passed=False, reason=reason, whole=False)


def percent(value: float, *, up: bool = False) -> str:
    """Write a percentage with two decimals, rounded away from looking good.

    Args:
        value: From 0 to 100.
        up: Whether more is worse.
    """
    # First to what a float can carry, so that 0.29 * 100 counts as 29.
    hundredths = round(value * 100, 6)
    cut = math.ceil(hundredths) if up else math.floor(hundredths)
    return f"{cut / 100:g} %"
