"""How far a rolling change may leave the number of replicas it found: counts, or percents of them.

Percents are rounded towards safety, as Kubernetes does it (*Deployments*, "Max Unavailable", "Max Surge"):
surge up, unavailable down. Unlike there, bounds that let nothing move are an error and not silently others.
"""

from __future__ import annotations

import re

PERCENT_PATTERN = r"^(100|[1-9]?[0-9])%$"
"""``0%`` to ``100%``."""

Bound = int | str
"""A count of replicas, or a percentage such as ``25%``."""

_PERCENT = re.compile(PERCENT_PATTERN, re.ASCII)


def resolved(bound: Bound, replicas: int, *, up: bool) -> int:
    """Return a bound as a count of ``replicas``.

    Args:
        bound: A count of at least 0, or ``0%`` to ``100%``.
        replicas: What the percentage is of.
        up: Whether a fraction of a replica counts as one.

    Raises:
        ValueError: ``bound`` is neither.
    """
    if isinstance(bound, int):
        if bound < 0:
            raise ValueError(f"a bound of {bound} replicas; expected at least 0")
        return bound
    if _PERCENT.fullmatch(bound) is None:
        raise ValueError(f'a bound of "{bound}"; expected a count, or a percentage from 0% to 100%')
    share = int(bound[:-1]) * replicas
    return -(-share // 100) if up else share // 100


def rolling_bounds(max_surge: Bound, max_unavailable: Bound, replicas: int) -> tuple[int, int]:
    """Return how many replicas more, and how many fewer, a rolling change of ``replicas`` may run.

    Raises:
        ValueError: Nothing could move, or everything could be away at once. The message says what to change.
    """
    surge = resolved(max_surge, replicas, up=True)
    unavailable = resolved(max_unavailable, replicas, up=False)
    if unavailable >= replicas:
        raise ValueError(
            f"max_unavailable {max_unavailable} of {_replicas(replicas)} leaves nobody to serve; "
            "lower it, or use recreate"
        )
    if not surge and not unavailable:
        raise ValueError(
            f"max_surge {max_surge} and max_unavailable {max_unavailable} of {_replicas(replicas)} let no "
            "replica move; raise one of them"
        )
    return surge, unavailable


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
