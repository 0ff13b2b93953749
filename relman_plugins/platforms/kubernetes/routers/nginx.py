"""ingress-nginx: a second Ingress, marked as canary, beside one that sends to the Service of the manifests.

The one sends to the Service, which selects the slot that leads; the other sends a share to the Service of the
other slot. So the two never send to the same Service, which the controller would not split, and the one has
pods always, without which the controller would answer 503 for both. Each move is one write: of the weight, or
of the selector. Only the address of the Ingress says that a controller knows it; of weights nothing does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from relman_plugins.domain.routing import ANNOTATION, CANARY, INGRESS, NGINX, ROUTER, notes_of
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.kubernetes.objects import Obj, Objects
from relman_plugins.platforms.kubernetes.routers.base import Router, Split, rerouting

MARK, WEIGHT, TOTAL = (f"{ANNOTATION}canary{part}" for part in ("", "-weight", "-weight-total"))

CLASS = "kubernetes.io/ingress.class"
"""What says whose Ingress it is, where `ingressClassName` does not."""

NOT_INHERITED = tuple(
    f"{ANNOTATION}{name}" for name in ("load-balance", "upstream-hash-by", "affinity", "session-cookie")
)
"""How the annotations begin that a canary must have itself; all others it has from the main Ingress."""


class Nginx(Router):
    """Writes the weight of the canary, and removes it when it is 0."""

    kind = INGRESS
    tells = True

    def names(self, made: Objects) -> tuple[str, ...]:
        """Return the names of both; see `Router.names`."""
        return tuple(name for main in super().names(made) for name in (main, f"{main}-{CANARY}"))

    def written(self, split: Split) -> list[Obj]:
        """Return the Ingress, and the canary if it has a weight; see `Router.written`."""
        main = split.route
        beside = next((s for s, weight in split.weights.items() if weight and s != split.first), None)
        return [main, *([_canary(main, beside, split)] if beside else [])]

    def rerouted(self, live: Obj, split: Split) -> Obj | None:
        """Return a canary without weight; see `Router.rerouted`."""
        if MARK not in notes_of(live):
            return None  # it sends to the Service of the manifests
        made = rerouting(split.lead, INGRESS, live)
        whose = {k: v for k, v in notes_of(live).items() if k == CLASS}
        made["metadata"]["annotations"] = whose | {MARK: "true", WEIGHT: "0", ROUTER: NGINX}
        return made

    def shares(self, live: Obj, slots: Mapping[str, str]) -> dict[str, int]:
        """Return what a canary sends to its slot; see `Router.shares`."""
        notes = notes_of(live)
        sent = [slots[to["name"]] for to in _services(live) if to.get("name") in slots]
        total = _number(notes.get(TOTAL)) or 100
        return {sent[0]: round(100 * _number(notes.get(WEIGHT)) / total)} if MARK in notes and sent else {}

    def told(
        self, there: Mapping[str, Obj], made: Objects, slots: Mapping[str, str], selected: str
    ) -> dict[str, int]:
        """Return the canary's share, and what is left to the Service; see `Router.told`."""
        main, canary = (there.get(name) for name in self.names(made))
        if main is None or not selected:
            return {}
        found = self.shares(canary, slots) if canary is not None else {}
        rest = 100 - sum(found.values())
        return found | {selected: found.get(selected, 0) + rest}

    def untaken(self, there: Mapping[str, Obj], made: Objects) -> str:
        """Return why no controller may know the Ingress; see `Router.untaken`."""
        name = self.names(made)[0]
        if name not in there:
            return f"the Ingress {name} is not there"
        if not ((there[name].get("status") or {}).get("loadBalancer") or {}).get("ingress"):
            return (
                f"no controller has given Ingress {name} an address: is its ingressClassName that of an "
                f"{NGINX} which reports addresses?"
            )
        return ""

    def check(self, old: Objects, new: Objects) -> None:
        """Refuse a Service without a port that the old Ingress sends to; see `Router.check`."""
        # Service and Ingress are two writes: between them the old Ingress sends to the new Service.
        there = {value for port in new.ports for value in (port["port"], port.get("name"))}
        for to in _services(old.workload.route or {}):
            port = next(iter((to.get("port") or {}).values()), None)
            if to.get("name") == old.service_name() and port not in there:
                raise PlatformRejected(
                    f"Ingress {self.names(old)[0]} sends to port {port} of Service {old.service_name()}, "
                    "which the new version has not: keep the port there, and remove it with a later version"
                )


def _canary(main: Obj, slot: str, split: Split) -> Obj:
    lead, notes = split.lead, notes_of(main)
    kept = {k: v for k, v in notes.items() if k == CLASS or k.startswith(NOT_INHERITED)}
    made = lead.as_ours(main, f"{main['metadata']['name']}-{CANARY}")
    made["metadata"]["annotations"] = kept | {
        ROUTER: NGINX,
        MARK: "true",
        WEIGHT: str(split.weights[slot]),
    }
    rules = []
    for rule in made["spec"].get("rules") or []:
        paths = []
        for path in (rule.get("http") or {}).get("paths") or []:
            to = (path.get("backend") or {}).get("service") or {}
            if to.get("name") == lead.service_name():
                ends = split.ends(_port(to, lead), lead, INGRESS, must=True)
                name, port = next(end[1:] for end in ends if end[0] == slot)
                at = {"port": {"number": port}} if port is not None else {}
                path["backend"] = {"service": to | {"name": name} | at}
                paths.append(path)
        if paths:
            rules.append(rule | {"http": {"paths": paths}})
    # Certificates are the main one's, for the same hosts; so is what has no path of its own.
    made["spec"] = {k: v for k, v in made["spec"].items() if k == "ingressClassName"} | {"rules": rules}
    return made


def _services(ingress: Obj) -> Iterator[Obj]:
    for rule in (ingress.get("spec") or {}).get("rules") or []:
        for path in (rule.get("http") or {}).get("paths") or []:
            yield (path.get("backend") or {}).get("service") or {}


def _port(to: Obj, of: Objects) -> Any:
    """Return the number of a port that is named by its number or by its name."""
    port = to.get("port") or {}
    named = next((p["port"] for p in of.ports if port.get("name") and p.get("name") == port["name"]), None)
    return port.get("number", named)


def _number(text: Any) -> int:
    """Return a number; 0 for what somebody wrote that is none, as the controller takes it."""
    return int(text) if str(text).isdecimal() else 0
