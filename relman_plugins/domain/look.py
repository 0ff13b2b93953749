"""What a recorded look says of a metric, in few words: one wording for terminals, chats and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def counts(metric: Mapping[str, Any]) -> str:
    """Return ``9/20 bad, old version 1/200`` of a metric that was compared; empty of any other.

    Samples of both versions read ``0.31, old version 0.29``. ``metric`` is an entry of ``metrics`` in
    ``analysis.measured``; it may lack anything.
    """
    if "control" not in metric:
        return ""
    arms = [metric.get(arm) for arm in ("experiment", "control")]
    if any(isinstance(arm, int | float) for arm in arms):
        new, old = (f"{arm:.4g}" if isinstance(arm, int | float) else "no value" for arm in arms)
        return f"{new}, old version {old}"
    new, old = (_pair(arm) for arm in arms)
    return f"{new} bad, old version {old}"


def _pair(counted: Any) -> str:
    whole = isinstance(counted, list | tuple) and len(counted) == 2
    return f"{counted[0]}/{counted[1]}" if whole else "no requests"
