"""The Gateway API: weights of the backends in an HTTPRoute, which says what each gateway makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relman_plugins.domain.routing import ROUTE
from relman_plugins.platforms.kubernetes.objects import Obj, Objects
from relman_plugins.platforms.kubernetes.routers.base import (
    Router,
    Split,
    rerouting,
    shared_out,
    without_slot,
)


class Gateway(Router):
    """Sets the weights in every rule that names the Service."""

    kind = ROUTE
    tells = True

    def written(self, split: Split) -> list[Obj]:
        """Return the HTTPRoute; see `Router.written`."""
        lead = split.lead
        return [_split(split.route, {lead.service_name(): lead}, split, must=True)]

    def rerouted(self, live: Obj, split: Split) -> Obj | None:
        """Return it split anew; see `Router.rerouted`."""
        return _split(rerouting(split.lead, ROUTE, live), split.known(), split, must=False)

    def shares(self, live: Obj, slots: Mapping[str, str]) -> dict[str, int]:
        """Return what it sends to slots; see `Router.shares`."""
        rules = (rule.get("backendRefs") or [] for rule in live["spec"].get("rules") or [])
        ours = ([b for b in backends if b.get("name") in slots] for backends in rules)
        return shared_out({slots[b["name"]]: int(b.get("weight", 1)) for b in backends} for backends in ours)

    def untaken(self, there: Mapping[str, Obj], made: Objects) -> str:
        """Return why not every gateway has the route as it is now; see `Router.untaken`."""
        name = self.names(made)[0]
        route = there.get(name)
        if route is None:
            return f"the HTTPRoute {name} is not there"
        generation = route["metadata"].get("generation")
        parents = (route.get("status") or {}).get("parents") or []
        namespace = made.workload.namespace
        refs = route["spec"].get("parentRefs") or []
        if not refs:
            return f"HTTPRoute {name} names no gateway"
        for ref in refs:
            its = [p for p in parents if _parent(p["parentRef"], namespace) == _parent(ref, namespace)]
            now = {c["type"]: c for parent in its for c in parent.get("conditions") or []
                   if c.get("observedGeneration", generation) == generation}  # fmt: skip
            wrong = [c for c in now.values() if c.get("status") != "True"]
            if wrong:
                said = "; ".join(f"{c['type']}: {c.get('reason')} {c.get('message', '')}" for c in wrong)
                return f"the gateway {ref['name']} does not take HTTPRoute {name}: {said}"
            if "Accepted" not in now:
                which = f"the gateway {ref['name']} has not" if len(refs) > 1 else "no gateway has"
                return f"{which} taken HTTPRoute {name} as it is now"
        return ""

    def unsplit(self, spec: Obj) -> None:
        """Leave slots and weights out; see `Router.unsplit`."""
        for rule in spec.get("rules") or []:
            refs = [
                {k: v for k, v in b.items() if k != "weight"} | {"name": without_slot(str(b.get("name")))}
                for b in rule.get("backendRefs") or []
            ]
            rule["backendRefs"] = [b for i, b in enumerate(refs) if b not in refs[:i]]


def _split(route: Obj, ours: Mapping[str, Objects], split: Split, *, must: bool) -> Obj:
    for rule in route["spec"].get("rules") or []:
        backends: list[Obj] = []
        done: set[Any] = set()
        for backend in rule.get("backendRefs") or []:
            of = ours.get(str(backend.get("name"))) if _is_here(backend, split.lead) else None
            if of is None:
                backends.append(backend)
                continue
            ends = split.ends(backend.get("port"), of, ROUTE, must=must)
            # Of a route that was split already, each slot is in it by itself.
            for slot, name, port in [e for e in ends if e[1:] not in done]:
                at = {"port": port} if port is not None else {}
                backends.append(backend | {"name": name, "weight": split.weights[slot]} | at)
                done.add((name, port))
        rule["backendRefs"] = backends
        if not backends:
            del rule["backendRefs"]
    return route


def _is_here(backend: Obj, lead: Objects) -> bool:
    """Say whether a backend is a Service of this namespace, and not what has its name elsewhere."""
    where = (backend.get("namespace") or lead.workload.namespace, backend.get("kind") or "Service")
    return where == (lead.workload.namespace, "Service")


def _parent(ref: Obj, namespace: str) -> tuple[object, ...]:
    """Return what tells a parent of a route from others, with what may be left out."""
    left_out = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace}
    named = left_out | {k: v for k, v in ref.items() if v is not None}
    return tuple(named.get(k) for k in ("group", "kind", "namespace", "name", "sectionName", "port"))
