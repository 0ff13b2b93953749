"""What a release is told of another one that is in its way.

Whoever may see a pipeline's releases may see all of them, so one of the same pipeline is named. Of another's
nobody knows here who may see it: what is said of it is recorded, and shown to all who see this release.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relman_plugins.ledger.engine import Ledger

UNNAMED = "another pipeline's release"


def called(ledger: Ledger, other: str, pipeline: str) -> str:
    """Return the id of a release of ``pipeline``; of any other pipeline only that it is another's."""
    record = ledger.release(other)
    return other if record is not None and record.pipeline == pipeline else UNNAMED


def in_flight(ledger: Ledger, other: str, pipeline: str, environment: str, since: datetime) -> str:
    """Say that a release holds the lock of an environment since then (aware), and how to take it back."""
    name = called(ledger, other, pipeline)
    held = f"is in flight in {environment} (it holds the lock since {since:%Y-%m-%d %H:%M} UTC)"
    if name == UNNAMED:
        return f"{name} {held}; `relman locks` names it to those who may abort it; then ask again"
    return f"release {name} {held}; `relman abort {name} --reason …` takes it back, then ask again"
