"""Canary: the new revision gets a growing share of the traffic beside the old one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.strategies.api import state_for_weight
from relman_plugins.strategies.base import Current, promoted, same_revision, stable_of


def desired_states(
    current: Current,
    new: Revision,
    replicas: int,
    weights: Sequence[int],
    config: Mapping[str, str] | None = None,
    *,
    baseline: bool = False,
) -> list[DesiredState]:
    """Return one state for each weight, then the promoted one.

    With a ``baseline`` each weight below 100 has one, fresh replicas of the old revision, beside the new one.

    The first deploy, and deploying what is there already, has nothing to compare with: it is the promoted
    state alone.

    Raises:
        ValueError: ``weights`` is empty, does not rise, leaves 1 to 100, or leaves a baseline no room.
    """
    if not weights or weights[0] < 1 or weights[-1] > 100 or any(a >= b for a, b in pairwise(weights)):
        raise ValueError(f"canary weights are {list(weights)}; expected rising percentages from 1 to 100")
    end = promoted(new, replicas, config)
    stable = stable_of(current)
    if stable is None or same_revision(stable, new):
        return [end]
    beside = {w: baseline and w < 100 for w in weights}
    return [*(state_for_weight(stable, new, w, replicas, config, baseline=b) for w, b in beside.items()), end]
