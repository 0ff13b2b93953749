"""The Gateway API: weights of the backends in an HTTPRoute, which says what each gateway makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relman_plugins.domain.routing import ROUTE
from relman_plugins.platforms.kubernetes.objects import Obj, Objects
from relman_plugins.platforms.kubernetes.routers.base import (
    OneObject,
    Split,
    shared_out,
    weighted,
    without_slot,
)


class Gateway(OneObject):
    """Sets the weights in every rule that names the Service."""

    kind = ROUTE
    tells = True
    tells_weights = True

    def split(self, made: Obj, ours: Mapping[str, Objects], split: Split, *, must: bool) -> Obj:
        """Return it split anew; see `OneObject.split`."""
        for rule in made["spec"].get("rules") or []:
            backends = rule.get("backendRefs") or []
            if any(_of(backend, ours, split.lead) for backend in backends):
                ends = (end for backend in backends for end in _ends(backend, ours, split, must=must))
                rule["backendRefs"] = weighted(ends)
                if not rule["backendRefs"]:
                    del rule["backendRefs"]
        return made

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


def _ends(
    backend: Obj, ours: Mapping[str, Objects], split: Split, *, must: bool
) -> Iterator[tuple[Obj, int]]:
    """Yield what takes the place of a backend, each with its weight."""
    weight, of = int(backend.get("weight", 1)), _of(backend, ours, split.lead)
    if of is None:
        yield backend, 100 * weight
        return
    for slot, name, port in split.ends(backend.get("port"), of, ROUTE, must=must):
        at = {"port": port} if port is not None else {}
        yield backend | {"name": name} | at, split.weights[slot] * weight


def _of(backend: Obj, ours: Mapping[str, Objects], lead: Objects) -> Objects | None:
    """Return whose Service a backend is; None for another, also for one of its name elsewhere."""
    where = (backend.get("namespace") or lead.workload.namespace, backend.get("kind") or "Service")
    return ours.get(str(backend.get("name"))) if where == (lead.workload.namespace, "Service") else None


def _parent(ref: Obj, namespace: str) -> tuple[object, ...]:
    """Return what tells a parent of a route from others, with what may be left out."""
    left_out = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace}
    named = left_out | {k: v for k, v in ref.items() if v is not None}
    return tuple(named.get(k) for k in ("group", "kind", "namespace", "name", "sectionName", "port"))
