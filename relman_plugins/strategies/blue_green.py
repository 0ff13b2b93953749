"""Blue/green: the new revision stands beside the old one at full size, then all traffic moves at once.

The old revision keeps all its replicas until the promotion, so that going back is a matter of weights.
"""

from __future__ import annotations

from collections.abc import Mapping

from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.strategies.api import state_for_weight
from relman_plugins.strategies.base import Current, check_replicas, promoted, same_revision, stable_of


def desired_states(
    current: Current,
    new: Revision,
    replicas: int,
    preview: bool = True,
    config: Mapping[str, str] | None = None,
) -> list[DesiredState]:
    """Return the preview when wanted, the switch, and the promoted state in which the old revision is gone.

    The first deploy, and deploying what is there already, is the promoted state alone.
    """
    end = promoted(new, replicas, config)
    stable = stable_of(current)
    if stable is None or same_revision(stable, new):
        return [end]
    first = [previewed(stable, new, replicas, config)] if preview else []
    return [*first, state_for_weight(stable, new, 100, replicas, config), end]


def previewed(
    stable: Revision | None, new: Revision, replicas: int, config: Mapping[str, str] | None = None
) -> DesiredState:
    """Return the state in which ``new`` runs at full size and gets no traffic.

    Without a stable revision, or when ``new`` *is* the stable one, it is the promoted state.
    """
    check_replicas(replicas)
    if stable is None or same_revision(stable, new):
        return promoted(new, replicas, config)
    return DesiredState(
        stable=stable,
        candidate=new,
        candidate_weight=0,
        stable_replicas=replicas,
        candidate_replicas=replicas,
        config=dict(config or {}),
    )
