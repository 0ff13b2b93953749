"""Platforms by name, found by entry point `relman.platforms`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.base import Platform

GROUP = "relman.platforms"

BUILT_IN = {
    "kubernetes": "relman_plugins.platforms.kubernetes.driver:KubernetesPlatform",
    "sandbox": "relman_plugins.platforms.sandbox.driver:SandboxPlatform",
}
"""What relman brings itself; also there when it runs from a checkout that was never installed."""


def names() -> tuple[str, ...]:
    """Return the names of all platforms that can be asked for, sorted."""
    return tuple(sorted(BUILT_IN.keys() | {e.name for e in entry_points(group=GROUP)}))


def platform(name: str, **fields: Any) -> Platform:
    """Return the driver of a platform, made from the fields of its connection.

    Args:
        name: ``sandbox``, or what another distribution's entry point in ``relman.platforms`` is called.
        fields: Whatever the driver's constructor takes; for most ``host`` and ``port``.

    Raises:
        PlatformRejected: No such platform, its code cannot be imported, or it is no platform.
    """
    path = BUILT_IN.get(name) or next((e.value for e in entry_points(group=GROUP, name=name)), None)
    if path is None:
        raise PlatformRejected(
            f'there is no platform "{name}"; expected one of {", ".join(names())}. '
            f'A distribution adds one by an entry point in the group "{GROUP}"'
        )
    module, _, attribute = path.partition(":")
    try:
        made = getattr(import_module(module), attribute)(**fields)
    except (ImportError, AttributeError, TypeError, ValueError) as e:
        raise PlatformRejected(f'platform "{name}" ({path}) could not be made: {e}') from e
    if not isinstance(made, Platform):
        raise PlatformRejected(f'platform "{name}" ({path}) has no observe and converge')
    return made
