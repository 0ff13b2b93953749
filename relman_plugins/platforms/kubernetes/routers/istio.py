"""Istio: weights of the destinations in a VirtualService. What proxies make of it, it does not say.

Its status is off unless somebody turns it on, and then its generation lags behind: it is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relman_plugins.domain.routing import VIRTUAL, is_host
from relman_plugins.platforms.kubernetes.objects import Obj, Objects
from relman_plugins.platforms.kubernetes.routers.base import (
    OneObject,
    Split,
    shared_out,
    weighted,
    without_slot,
)

NOWHERE = {"status": 503}
"""The answer of a rule that has no destination left: a rule without any is refused."""


class Istio(OneObject):
    """Sends to the Service of each slot, so that no DestinationRule is needed."""

    kind = VIRTUAL
    tells = False

    def split(self, made: Obj, ours: Mapping[str, Objects], split: Split, *, must: bool) -> Obj:
        """Return it split anew; see `OneObject.split`."""
        for rule in made["spec"].get("http") or []:
            routes = rule.get("route") or []
            if not any(_of(to, ours, split.lead) for to in routes):
                continue
            ends = (
                (end, _weight(to, rule) * part)
                for to in routes
                for end, part in _ends(to, ours, split, must=must)
            )
            rule["route"] = [to for to in weighted(ends) if to["weight"]]
            if not rule["route"]:
                kept = {k: v for k, v in rule.items() if k in ("name", "match")}
                rule.clear()
                rule |= kept | {"directResponse": NOWHERE}
        return made

    def shares(self, live: Obj, slots: Mapping[str, str]) -> dict[str, int]:
        """Return what it sends to slots; see `Router.shares`."""
        namespace = str(live["metadata"]["namespace"])
        return shared_out(_here(rule, slots, namespace) for rule in live["spec"].get("http") or [])

    def untaken(self, there: Mapping[str, Obj], made: Objects) -> str:
        """Return whether it is not there: more is not known; see `Router.untaken`."""
        name = self.names(made)[0]
        return "" if name in there else f"the VirtualService {name} is not there"

    def unsplit(self, spec: Obj) -> None:
        """Leave slots and weights out; see `Router.unsplit`."""
        for rule in spec.get("http") or []:
            routes: list[Obj] = []
            for to in rule.get("route") or []:
                there = to.get("destination") or {}
                service, dot, rest = str(there.get("host")).partition(".")
                host = f"{without_slot(service)}{dot}{rest}"
                one = {k: v for k, v in to.items() if k != "weight"} | {"destination": there | {"host": host}}
                routes += [one] if one not in routes else []
            if routes:
                rule["route"] = routes


def _here(rule: Obj, slots: Mapping[str, str], namespace: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for to in rule.get("route") or []:
        host = (to.get("destination") or {}).get("host")
        slot = next((slot for name, slot in slots.items() if is_host(host, name, namespace)), None)
        if slot:
            found[slot] = found.get(slot, 0) + _weight(to, rule)
    return found


def _weight(to: Obj, rule: Obj) -> int:
    """Return the weight of a destination: all, where it is the only one."""
    return int(to.get("weight") or 0) if len(rule["route"]) > 1 else 100


def _ends(to: Obj, ours: Mapping[str, Objects], split: Split, *, must: bool) -> Iterator[tuple[Obj, int]]:
    """Yield what takes the place of a destination, each with its part in percent."""
    there, of = to.get("destination") or {}, _of(to, ours, split.lead)
    if of is None:
        yield to, 100
        return
    port, rest = (there.get("port") or {}).get("number"), str(there["host"]).partition(".")[1:]
    for slot, name, its in split.ends(port, of, VIRTUAL, must=must):
        at = {"port": {"number": its}} if its is not None else {}
        yield to | {"destination": there | {"host": "".join((name, *rest))} | at}, split.weights[slot]


def _of(to: Obj, ours: Mapping[str, Objects], lead: Objects) -> Objects | None:
    """Return whose Service a destination is; None for another."""
    host = (to.get("destination") or {}).get("host")
    found = (objects for name, objects in ours.items() if is_host(host, name, lead.workload.namespace))
    return next(found, None)
