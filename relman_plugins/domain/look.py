"""What a recorded look says of a metric, in few words: one wording for terminals, chats and reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NEW, OLD, FRESH = "new version", "old version", "fresh baseline"
"""What is compared, and with what."""


def control(*, baseline: bool) -> str:
    """Return what the new version is compared with: the old version, or a fresh ``baseline`` of it."""
    return FRESH if baseline else OLD


def against(name: str) -> dict[str, str]:
    """Return what a recorded metric says of that: nothing where it is the old version."""
    return {} if name == OLD else {"against": name}


def neither(names: Iterable[str]) -> str:
    """Join what has nothing: ``new and old version``, ``new version and fresh baseline``."""
    return " and ".join(names).replace(f"{NEW} and {OLD}", "new and old version")


def counts(metric: Mapping[str, Any]) -> str:
    """Return ``9/20 bad, old version 1/200`` of a metric that was compared; empty of any other.

    Samples of both versions read ``0.31, old version 0.29``. ``metric`` is an entry of ``metrics`` in
    ``analysis.measured``; it may lack anything, and has ``against`` where that is not the old version.
    """
    if "control" not in metric:
        return ""
    beside = str(metric.get("against") or OLD)
    arms = [metric.get(arm) for arm in ("experiment", "control")]
    if any(isinstance(arm, int | float) for arm in arms):
        new, old = (f"{arm:.4g}" if isinstance(arm, int | float) else "no value" for arm in arms)
        return f"{new}, {beside} {old}"
    new, old = (_pair(arm) for arm in arms)
    return f"{new} bad, {beside} {old}"


def _pair(counted: Any) -> str:
    whole = isinstance(counted, list | tuple) and len(counted) == 2
    return f"{counted[0]}/{counted[1]}" if whole else "no requests"
