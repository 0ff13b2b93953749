"""What makes the traffic go where it should: pure.

One version leads: all traffic goes by its Service and its router, so that both have the ports and the rules
that it was made with. It is the stable one, until another has all the traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.kubernetes.objects import SLOTS, Obj, Objects
from relman_plugins.platforms.kubernetes.routers import router_of
from relman_plugins.platforms.kubernetes.routers.base import Split

PREVIEW = "preview"


def leading(target: Mapping[str, int], candidate: str) -> str:
    """Return the slot of the version that leads, from the shares in percent by slot."""
    return max(target, key=lambda slot: (target[slot] == 100, slot != candidate))


def names(objects: Objects) -> list[str]:
    """Return the names of the Services that traffic of a version may go by."""
    return [objects.service_name(which) for which in ("", *SLOTS)]


def written(target: Mapping[str, int], versions: Mapping[str, Objects], candidate: str) -> list[Obj]:
    """Return the Services, and what the router goes by, in the order in which they are to be written.

    Args:
        target: shares in percent by slot.
        versions: what is in each slot.
        candidate: its slot; empty when there is none.

    Raises:
        PlatformRejected: a version that is to have traffic has no port for it.
    """
    first = leading(target, candidate)
    lead, router = versions[first], router_of(versions[first].workload)
    if router is None:
        slots = [slot for slot, weight in target.items() if weight]
        return [lead.main_service(slots[0] if len(slots) == 1 else None)]
    # Whoever asks the Service itself, past the router, gets one version at a time.
    own = [versions[slot].other_service(slot, slot) for slot in target]
    return [*own, lead.main_service(first), *router.written(Split(first, target, versions))]


def check(
    target: Mapping[str, int], versions: Mapping[str, Objects], now: Mapping[str, Objects], candidate: str
) -> None:
    """Raise PlatformRejected when two versions were behind one Service that can't be right for both.

    Args:
        target: shares in percent by slot.
        versions: what is to be in each slot.
        now: what is in each slot that is in use.
        candidate: its slot; empty when there is none.
    """
    for old in now.values():
        if (router := router_of(old.workload)) is not None:
            router.check(old, versions[leading(target, candidate)])
    pairs = [(now[slot], versions[slot]) for slot in target if slot in now]
    slots = [slot for slot, weight in target.items() if weight]
    if len(slots) > 1 and not versions[slots[0]].workload.routed:
        pairs.append((versions[slots[0]], versions[slots[1]]))
    for old, new in pairs:
        there = {_number(port): _goes_to(port) for port in new.ports}
        for port in old.ports:
            number, goes_to = _number(port), _goes_to(port)
            if there.get(number) != goes_to:
                raise PlatformRejected(
                    f"port {port['port']} of Service {old.service_name()} goes to {goes_to} of the old "
                    f"version and to {there.get(number, 'nothing')} of the new one, and both would be behind "
                    "it at once: name the container's port, and write the name as targetPort; or bring this "
                    "version by blue_green, by recreate, or by a canary behind a router"
                )


def _number(port: Obj) -> tuple[Any, str]:
    return port["port"], str(port.get("protocol") or "TCP")


def _goes_to(port: Obj) -> Any:
    return port.get("targetPort", port["port"])
