"""The one entry that operators use: which state a weight stands for.

All functions are pure. The lists that the strategies return are built on :func:`state_for_weight`, so what
a step asks for and what a plan promises cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping

from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.strategies.base import (
    Current,
    abort,
    candidate_replicas,
    check_replicas,
    promoted,
    rollback,
    same_revision,
    stable_of,
    withdrawn,
)

__all__ = [
    "Current",
    "abort",
    "candidate_replicas",
    "promoted",
    "rollback",
    "same_revision",
    "stable_of",
    "state_for_weight",
    "withdrawn",
]


def state_for_weight(
    stable: Revision | None,
    new: Revision,
    weight: int,
    replicas: int,
    config: Mapping[str, str] | None = None,
    *,
    baseline: bool = False,
) -> DesiredState:
    """Return the state in which ``new`` gets ``weight`` percent of the traffic.

    The stable revision keeps all its replicas up to and including 100 %: it is the standby that makes going
    back a matter of weights. Only :func:`promoted` lets it go. Without a stable revision, or when ``new``
    *is* the stable one, there is nobody to share with, so every weight is the promoted state.

    Args:
        stable: The revision that has the traffic now; None on the first deploy.
        new: The revision being brought in.
        weight: Percent, 0 to 100; at 0 the candidate is withdrawn.
        replicas: What the environment runs of a revision that has all the traffic; at least 1.
        config: Environment variables of every replica.
        baseline: Whether fresh replicas of ``stable`` run beside ``new``, as many and with as much traffic.

    Raises:
        ValueError: ``weight`` or ``replicas`` is out of range, or leaves a baseline no room.
    """
    check_replicas(replicas)
    if not 0 <= weight <= 100:
        raise ValueError(f"weight is {weight}; expected a percentage from 0 to 100")
    if stable is None or same_revision(stable, new):
        return promoted(new, replicas, config)
    if weight == 0:
        return withdrawn(stable, replicas, config)
    return DesiredState(
        stable=stable,
        candidate=new,
        candidate_weight=weight,
        stable_replicas=replicas,
        candidate_replicas=candidate_replicas(replicas, weight),
        baseline=baseline,
        config=dict(config or {}),
    )
