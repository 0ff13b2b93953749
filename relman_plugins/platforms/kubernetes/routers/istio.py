"""Istio: weights of the destinations in a VirtualService. What proxies make of it, it does not say.

Its status is off unless somebody turns it on, and then its generation lags behind: it is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import gcd

from relman_plugins.domain.base import canonical_json
from relman_plugins.domain.routing import VIRTUAL, is_host
from relman_plugins.platforms.kubernetes.objects import Obj, Objects
from relman_plugins.platforms.kubernetes.routers.base import (
    Router,
    Split,
    rerouting,
    shared_out,
    without_slot,
)

NOWHERE = {"status": 503}
"""The answer of a rule that has no destination left: a rule without any is refused."""


class Istio(Router):
    """Sends to the Service of each slot, so that no DestinationRule is needed."""

    kind = VIRTUAL
    tells = False

    def written(self, split: Split) -> list[Obj]:
        """Return the VirtualService; see `Router.written`."""
        lead = split.lead
        return [_split(split.route, {lead.service_name(): lead}, split, must=True)]

    def rerouted(self, live: Obj, split: Split) -> Obj | None:
        """Return it split anew; see `Router.rerouted`."""
        return _split(rerouting(split.lead, VIRTUAL, live), split.known(), split, must=False)

    def shares(self, live: Obj, slots: Mapping[str, str]) -> dict[str, int]:
        """Return what it sends to slots; see `Router.shares`."""
        return shared_out(_here(rule, slots) for rule in live["spec"].get("http") or [])

    def untaken(self, there: Mapping[str, Obj], made: Objects) -> str:
        """Return whether it is not there: more is not known; see `Router.untaken`."""
        name = self.names(made)[0]
        return "" if name in there else f"the VirtualService {name} is not there"

    def unsplit(self, spec: Obj) -> None:
        """Leave slots and their weights out; see `Router.unsplit`."""
        for rule in spec.get("http") or []:
            routes: list[Obj] = []
            for to in rule.get("route") or []:
                there = to.get("destination") or {}
                service, dot, rest = str(there.get("host")).partition(".")
                if service != without_slot(service):
                    host = f"{without_slot(service)}{dot}{rest}"
                    to = {k: v for k, v in to.items() if k != "weight"} | {
                        "destination": there | {"host": host}
                    }
                routes += [to] if to not in routes else []
            if routes:
                rule["route"] = routes


def _here(rule: Obj, slots: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for to in rule.get("route") or []:
        slot = slots.get(str((to.get("destination") or {}).get("host")).partition(".")[0])
        if slot:
            found[slot] = found.get(slot, 0) + _weight(to, rule)
    return found


def _weight(to: Obj, rule: Obj) -> int:
    """Return the weight of a destination: all, where it is the only one."""
    return int(to.get("weight") or 0) if len(rule["route"]) > 1 else 100


def _split(made: Obj, ours: Mapping[str, Objects], split: Split, *, must: bool) -> Obj:
    for rule in made["spec"].get("http") or []:
        routes: dict[str, Obj] = {}
        for to in rule.get("route") or []:
            for one, share in _ends(to, ours, split, must=must):
                # Of one that was split already, each slot is in it by itself: together they have all.
                key = canonical_json({k: v for k, v in one.items() if k != "weight"})
                routes.setdefault(key, one | {"weight": 0})["weight"] += _weight(to, rule) * share
        if "route" in rule:
            rule["route"] = list(_in_small_numbers([to for to in routes.values() if to["weight"]]))
            if not rule["route"]:
                kept = {k: v for k, v in rule.items() if k in ("name", "match")}
                rule.clear()
                rule |= kept | {"directResponse": NOWHERE}
    return made


def _ends(to: Obj, ours: Mapping[str, Objects], split: Split, *, must: bool) -> Iterator[tuple[Obj, int]]:
    """Yield what takes the place of a destination, each with its part in percent."""
    there = to.get("destination") or {}
    service, dot, rest = str(there.get("host")).partition(".")
    if service not in ours or not is_host(there.get("host"), service, split.lead.workload.namespace):
        yield to, 100
        return
    port = (there.get("port") or {}).get("number")
    for slot, name, its in split.ends(port, ours[service], VIRTUAL, must=must):
        at = {"port": {"number": its}} if its is not None else {}
        yield to | {"destination": there | {"host": f"{name}{dot}{rest}"} | at}, split.weights[slot]


def _in_small_numbers(routes: list[Obj]) -> Iterator[Obj]:
    """Yield them with the same proportions: in percent, where whole numbers can say it."""
    weights = [int(to["weight"]) for to in routes]
    total, common = sum(weights), gcd(*weights)
    percent = all(100 * weight % total == 0 for weight in weights)
    for to, weight in zip(routes, weights, strict=True):
        yield to | {"weight": 100 * weight // total if percent else weight // common}
