"""What is to be in the slots, and what that brings along: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from relman_plugins.platforms.kubernetes.objects import Obj, Objects, key_of
from relman_plugins.platforms.kubernetes.routers import routing
from relman_plugins.platforms.kubernetes.seen import Seen

KEPT = 5
"""How many versions that were stable before are remembered."""


class Part(NamedTuple):
    """What is to be in one slot."""

    objects: Objects
    """What the version is made from."""
    deployment: Obj
    record: Obj | None
    """What remembers that; None for a version of which it is not known."""

    @property
    def key(self) -> str:
        """Return the key of the version."""
        return key_of(self.deployment)


def served_before(seen: Seen, stable: Part | None) -> tuple[str, ...]:
    """Return which versions were stable before, with the one that is about to be so no more."""
    live = seen.deployments.get(seen.roles.stable)
    if live is None or (stable is not None and key_of(live) == stable.key):
        return seen.roles.served
    last = key_of(live)
    return (last, *(k for k in seen.roles.served if k != last))[:KEPT]


def shared(lead: Objects | None, parts: Mapping[str, Part]) -> list[Obj]:
    """Return the extras that versions share, each as the leading one has it, but what routes that one."""
    wanted = {place(o) for part in parts.values() for o in part.objects.shared}
    wanted -= routing(lead) if lead is not None else set()
    found: dict[tuple[str, str], Obj] = {}
    for objects in (*([lead] if lead is not None else []), *(part.objects for part in parts.values())):
        for obj in objects.shared:
            found.setdefault(place(obj), obj)
    return [obj for where, obj in found.items() if where in wanted]


def place(obj: Obj) -> tuple[str, str]:
    """Return where an object is: its kind and its name."""
    return obj["kind"], obj["metadata"]["name"]
