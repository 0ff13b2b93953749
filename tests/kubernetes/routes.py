"""Where requests go, by the objects of a cluster as the routers read them, and not as relman does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from relman_plugins.testing.kube import Cluster
from tests.platforms.places import NAMESPACE

Obj = dict[str, Any]
NGINX = "nginx.ingress.kubernetes.io/"


class World:
    """The objects of the namespace at one moment."""

    def __init__(self, objects: Iterable[Obj]) -> None:
        self.objects = {(o["kind"], o["metadata"]["name"]): o for o in objects}

    def sent(self) -> dict[str, int]:
        """Return percent of the requests by slot, the same by every path; `lost`: answered by no pod."""
        by = [
            *(self._route(o) for o in self._all("HTTPRoute")),
            *(self._virtual(o) for o in self._all("VirtualService")),
            *(self._ingress(o) for o in self._all("Ingress") if f"{NGINX}canary" not in _notes(o)),
        ]
        found = [rule for rules in by for rule in rules]
        assert found
        assert all(rule == found[0] for rule in found), found
        return {slot: share for slot, share in found[0].items() if share}

    def _all(self, kind: str) -> list[Obj]:
        return [o for (k, _), o in self.objects.items() if k == kind]

    def _slot(self, service: str, port: Any) -> str:
        """Return which slot answers for a port of a Service."""
        there = self.objects.get(("Service", service))
        ports = [
            v for p in (there or {}).get("spec", {}).get("ports", []) for v in (p["port"], p.get("name"))
        ]
        if there is None or (port is not None and port not in ports):
            return "lost"
        wanted = there["spec"]["selector"].items()
        ready = [p for p in self._all("Pod") if wanted <= p["metadata"]["labels"].items() and _is_ready(p)]
        slots = {p["metadata"]["labels"]["relman/slot"] for p in ready}
        return slots.pop() if len(slots) == 1 else "lost"

    def _split(self, backends: Iterable[tuple[str, Any, int]]) -> dict[str, int]:
        sent: dict[str, int] = {}
        there = list(backends)
        for service, port, weight in there:
            slot = self._slot(service, port) if weight else "none"
            sent[slot] = sent.get(slot, 0) + weight
        total = sum(sent.values())
        return {slot: 100 * weight // total for slot, weight in sent.items()} if total else {"lost": 100}

    def _route(self, route: Obj) -> list[Mapping[str, int]]:
        rules = [rule.get("backendRefs") or [] for rule in route["spec"]["rules"]]
        return [self._split((b["name"], b["port"], b.get("weight", 1)) for b in rule) for rule in rules]

    def _virtual(self, virtual: Obj) -> list[Mapping[str, int]]:
        found = []
        for rule in virtual["spec"]["http"]:
            to = [(t["destination"], t.get("weight", 100)) for t in rule.get("route") or []]
            found.append(
                self._split((d["host"].split(".")[0], d.get("port", {}).get("number"), w) for d, w in to)
            )
        return found

    def _ingress(self, main: Obj) -> list[Mapping[str, int]]:
        """Each path of a main Ingress, with the canary that has the same host and path."""
        canaries = {
            (host, path): (to, int(_notes(o)[f"{NGINX}canary-weight"]))
            for o in self._all("Ingress")
            if _notes(o).get(f"{NGINX}canary") == "true"
            for host, path, to in _paths(o)
        }
        found: list[Mapping[str, int]] = []
        for host, path, to in _paths(main):
            first = self._split([(*to, 100)])
            other, weight = canaries.get((host, path), (None, 0))
            if other is None or other == to:
                found.append(first)  # an alternative of itself is none
            elif "lost" in first:
                found.append({"lost": 100})  # without pods of the main one, nobody is answered
            else:
                (slot,) = first
                (beside,) = self._split([(*other, 100)])
                found.append({slot: 100} if slot == beside else {slot: 100 - weight, beside: weight})
        return found


def now(cluster: Cluster) -> World:
    """Return the objects as they are."""
    with cluster.store.changed:
        return World(o for (_, namespace, _), o in cluster.store.objects.items() if namespace == NAMESPACE)


def moves(cluster: Cluster, since: int) -> list[dict[str, int]]:
    """Return where requests went after each change of the cluster since a version, without repetitions."""
    objects: dict[tuple[str, str], Obj] = {}
    found: list[dict[str, int]] = []
    for change in cluster.store.history:
        if change.obj["metadata"].get("namespace") != NAMESPACE:
            continue
        where = (change.resource.kind, change.obj["metadata"]["name"])
        objects[where] = change.obj
        if change.kind == "DELETED":
            del objects[where]
        if change.version > since:
            sent = World(objects.values()).sent()
            found += [sent] if not found or found[-1] != sent else []
    return found


def _notes(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def _paths(ingress: Obj) -> Iterable[tuple[str, str, tuple[str, Any]]]:
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            to = path["backend"]["service"]
            yield rule["host"], path["path"], (to["name"], next(iter(to["port"].values())))


def _is_ready(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)
