"""What every strategy shares: the states a change starts from, ends at, and goes back to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from relman_plugins.domain.state import DesiredState, ObservedState, Revision

Current = DesiredState | ObservedState | None
"""Where a change starts: what was last asked for, what a platform sees, or nothing at all."""


def same_revision(one: Revision | None, other: Revision | None) -> bool:
    """Say whether two revisions are the same thing: version *and* digest; where it is kept does not count."""
    if one is None or other is None:
        return one is other
    return (one.version, one.digest) == (other.version, other.digest)


def stable_of(current: Current) -> Revision | None:
    """Return the revision that carries the traffic no candidate has; None in an empty environment."""
    if current is None:
        return None
    if isinstance(current, ObservedState):
        return current.stable.revision if current.stable else None
    return current.stable


def candidate_replicas(replicas: int, weight: int) -> int:
    """Return how many of ``replicas`` serve ``weight`` percent of the traffic: rounded up, at least one."""
    return max(1, ceil(replicas * weight / 100))


def check_replicas(replicas: int) -> None:
    """Raise ValueError when ``replicas`` could not carry any traffic."""
    if replicas < 1:
        raise ValueError(f"replicas is {replicas}; a revision that gets traffic needs at least 1")


def promoted(new: Revision, replicas: int, config: Mapping[str, str] | None = None) -> DesiredState:
    """Return the state at the end of a change: ``new`` is the stable revision and nothing else runs."""
    check_replicas(replicas)
    return DesiredState(stable=new, stable_replicas=replicas, config=dict(config or {}))


def withdrawn(
    stable: Revision | None, replicas: int, config: Mapping[str, str] | None = None
) -> DesiredState:
    """Return the state without a candidate: ``stable`` carries everything.

    If it runs still, it stays as it was made: asking twice is asking once. Without a stable revision (the
    first deploy is taken back) this is the empty environment.
    """
    if stable is None:
        return DesiredState()
    return promoted(stable, replicas, config).model_copy(update={"returning": True})


def rollback(stable: Revision | None, replicas: int, config: Mapping[str, str] | None = None) -> DesiredState:
    """Return the state that undoes a change made on top of ``stable``: the same as withdrawing it.

    It is right from every point of a change, also after the promotion, when ``stable`` is gone and has
    to be started again.
    """
    return withdrawn(stable, replicas, config)


def abort(
    current: Current, states: Sequence[DesiredState], index: int, config: Mapping[str, str] | None = None
) -> DesiredState:
    """Return where to converge when a change is given up after ``states[index]`` was asked for.

    Args:
        current: Where the change started.
        states: What the strategy returned for it.
        index: The last state asked for; -1 when none was.
        config: The environment's configuration; the one in ``states`` when not given.

    Raises:
        IndexError: ``index`` is not a place in ``states``.
    """
    if not -1 <= index < len(states):
        raise IndexError(f"state {index} of {len(states)}: a change is given up at one of its own states")
    asked = states[max(index, 0)] if states else DesiredState()
    replicas = _stable_replicas(current) or asked.stable_replicas or asked.candidate_replicas
    return rollback(stable_of(current), replicas or 1, config if config is not None else asked.config)


def _stable_replicas(current: Current) -> int:
    if isinstance(current, ObservedState):
        return current.stable.replicas if current.stable else 0
    return current.stable_replicas if current else 0
