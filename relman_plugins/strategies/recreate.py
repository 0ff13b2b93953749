"""Recreate: the new revision replaces the old one at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.strategies.base import Current, promoted


def desired_states(
    current: Current,
    new: Revision,
    replicas: int,
    weights: Sequence[int] = (100,),
    config: Mapping[str, str] | None = None,
) -> list[DesiredState]:
    """Return the promoted state: there is no moment in which both revisions have traffic."""
    return [promoted(new, replicas, config)]
