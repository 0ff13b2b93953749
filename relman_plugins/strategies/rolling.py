"""Rolling: the new revision takes the place of the old one, some replicas at a time.

Both numbers of replicas change together, and the share of the traffic follows the share of the replicas. In
which order a platform starts and ends replicas between two states is its own affair, so each state is chosen
such that *any* order keeps the bounds: never fewer than ``replicas - max_unavailable``, never more than
``replicas + max_surge``, counted over both revisions.

There is no standby: what goes back has to start the old replicas again. It does so all at once; the bounds
are for bringing a version in, not for getting away from a bad one.
"""

from __future__ import annotations

from collections.abc import Mapping

from relman_plugins.domain.bounds import Bound, rolling_bounds
from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.strategies.base import Current, check_replicas, promoted, same_revision, stable_of


def desired_states(
    current: Current,
    new: Revision,
    replicas: int,
    max_surge: Bound = 1,
    max_unavailable: Bound = 0,
    config: Mapping[str, str] | None = None,
) -> list[DesiredState]:
    """Return one state for each wave, the last one promoted.

    The same waves follow from any of its own states: a change that was interrupted goes on from what was
    last asked for. The first deploy, and deploying what is there already, is the promoted state alone.

    Args:
        current: What was last asked for, or what is there.
        new: The revision being brought in.
        replicas: What the environment runs of a revision that has all the traffic; at least 1.
        max_surge: Replicas above ``replicas``, as a count or a percentage (rounded up).
        max_unavailable: Replicas below ``replicas``, as a count or a percentage (rounded down).
        config: Environment variables of every replica.

    Raises:
        ValueError: The bounds let nothing move, or leave nobody to serve.
    """
    check_replicas(replicas)
    surge, unavailable = rolling_bounds(max_surge, max_unavailable, replicas)
    stable, end = stable_of(current), promoted(new, replicas, config)
    if stable is None or same_revision(stable, new):
        return [end]
    old, fresh = _counts(current, new)
    states: list[DesiredState] = []
    while True:
        more = max(fresh, min(replicas, replicas + surge - old))
        fewer = (
            min(old, max(0, replicas - unavailable - fresh)) if old + fresh >= replicas - unavailable else old
        )
        old, fresh = fewer, more
        if not old and fresh >= replicas:
            return [*states, end]
        states.append(_state(stable, new, old, fresh, config))


def share(old: int, fresh: int) -> int:
    """Return the percentage of the traffic for ``fresh`` replicas beside ``old`` ones.

    Rounded to the nearest whole number, but never to nothing for a side that has replicas.
    """
    if not old or not fresh:
        return 100 if fresh else 0
    return min(99, max(1, (200 * fresh + old + fresh) // (2 * (old + fresh))))


def _counts(current: Current, new: Revision) -> tuple[int, int]:
    """Return how many replicas of the stable revision there are, and how many of ``new``."""
    if isinstance(current, ObservedState):
        coming = current.candidate
        fresh = coming.replicas if coming and same_revision(coming.revision, new) else 0
        return (current.stable.replicas if current.stable else 0), fresh
    if current is None:
        return 0, 0
    return current.stable_replicas, current.candidate_replicas if same_revision(current.candidate, new) else 0


def _state(
    stable: Revision, new: Revision, old: int, fresh: int, config: Mapping[str, str] | None
) -> DesiredState:
    # The candidate is named before it has replicas: whoever finds this state sees a change under way.
    return DesiredState(
        stable=stable,
        candidate=new,
        candidate_weight=share(old, fresh),
        stable_replicas=old,
        candidate_replicas=fresh,
        config=dict(config or {}),
    )
