"""What a service is on Kubernetes: the objects of its manifests, and what relman makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.routing import INGRESS, ROUTE, VIRTUAL, Problem, is_route, routing_problems

SETS = ("Deployment", "StatefulSet")
"""Kinds that make pods; a service has one of one of them."""

EXTRAS: dict[str, tuple[str, str]] = {
    "ConfigMap": ("v1", "configmaps"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    INGRESS: ("networking.k8s.io/v1", "ingresses"),
}
"""What else there may be, with its API version and the name of its resource."""

KINDS: dict[str, tuple[str, str]] = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "Service": ("v1", "services"),
    ROUTE: ("gateway.networking.k8s.io/v1", "httproutes"),
    VIRTUAL: ("networking.istio.io/v1", "virtualservices"),
    **EXTRAS,
}

REFUSED: dict[str, str] = {
    "Secret": "secrets are never in specs: create it in the cluster, and name it in the Deployment",
    "Rollout": "relman drives no Argo Rollouts: write a Deployment, and its steps as strategy: of a stage",
    "Canary": "relman drives no Flagger: leave it out, and write its steps as strategy: of a stage",
    "HorizontalPodAutoscaler": "relman decides how many replicas there are, by replicas: of the environment",
}
"""Kinds that people would expect, and why they are not taken."""


RESERVED = "relman-"
"""How the names of objects begin in which relman remembers: no manifest has one."""


class Workload(Frozen):
    """A service's part of an environment on Kubernetes."""

    namespace: str
    objects: tuple[dict[str, Any], ...]
    """The manifests: one Deployment or StatefulSet, one Service, at most one route, and extras."""
    container: str
    """The container that gets the image and the configuration."""
    url: str | None = None
    """Where the service answers; None: its address inside the cluster."""
    timeout_s: float = 120.0
    """How long one try of a change may take."""
    drain_s: float = 30.0
    """How long pods stay after the traffic has left them, until routers know it."""

    def one(self, kind: str) -> dict[str, Any]:
        """Return the object of a kind; raise KeyError if there is none."""
        found = next((o for o in self.objects if o["kind"] == kind), None)
        if found is None:
            raise KeyError(kind)
        return found

    @property
    def pods(self) -> dict[str, Any]:
        """The object that makes the pods."""
        return next(o for o in self.objects if o["kind"] in SETS)

    @property
    def in_place(self) -> bool:
        """Whether one version takes the other's place, pod by pod, since each pod has a name and a disk."""
        return bool(self.pods["kind"] == "StatefulSet")

    @property
    def routed(self) -> bool:
        """Whether a router splits the traffic by weight; else it is split by the number of pods."""
        return self.route is not None

    @property
    def route(self) -> dict[str, Any] | None:
        """The object that a router goes by; None if there is none."""
        return next((o for o in self.objects if is_route(o)), None)

    @property
    def extras(self) -> tuple[dict[str, Any], ...]:
        """The objects that are applied as they are; not those that have one of relman's own names."""
        named = (o for o in self.objects if not str(o["metadata"]["name"]).startswith(RESERVED))
        return tuple(o for o in named if o["kind"] in EXTRAS and not is_route(o))


_NAME = r"[a-z]([-a-z0-9]{0,53}[a-z0-9])?"


def problems(objects: Sequence[Any], container: str | None, namespace: str) -> Iterator[Problem]:
    """Yield what keeps manifests from being a workload; shapes beyond that are the API server's to check."""
    kinds = [o.get("kind") if isinstance(o, dict) else None for o in objects]
    for index, (obj, kind) in enumerate(zip(objects, kinds, strict=True)):
        if not isinstance(obj, dict) or not isinstance(kind, str):
            yield index, (), "is no object of Kubernetes", "give it apiVersion, kind and metadata.name"
            continue
        if kind not in KINDS:
            hint = REFUSED.get(kind, f"expected one of {', '.join(KINDS)}; apply others by other means")
            yield index, ("kind",), f"{kind} is not taken", hint
            continue
        version = KINDS[kind][0]
        if obj.get("apiVersion") != version:
            yield index, ("apiVersion",), f"{kind} is of another API version", f"write apiVersion: {version}"
        yield from _named(index, obj, namespace)
        alike = SETS if kind in SETS else (kind,)
        if kind in (*SETS, "Service") and any(k in alike for k in kinds[:index]):
            yield index, ("kind",), f"a second {' or '.join(alike)}", "a service has one"
        if kind in SETS:
            yield from _pods(index, obj, container)
            yield from _updates(index, obj)
        elif kind == "Service":
            yield from _service(index, obj)
    services = [o["metadata"].get("name") for o, k in zip(objects, kinds, strict=True)
                if k == "Service" and isinstance(o.get("metadata"), dict)]  # fmt: skip
    yield from routing_problems(objects, str(services[0]) if services else "", namespace)
    for alike in (SETS, ("Service",)):
        if not any(kind in kinds for kind in alike):
            yield -1, (), f"there is no {' or '.join(alike)}", f"add a document of kind: {alike[0]}"


def chosen_container(pods: dict[str, Any], container: str | None) -> str | None:
    """Return the name of the container that gets the image: the one that is named, or the only one."""
    names = [str(c["name"]) for c in _containers(pods)]
    if container is None:
        return names[0] if len(names) == 1 else None
    return container if container in names else None


def _containers(pods: dict[str, Any]) -> list[dict[str, Any]]:
    spec: Any = pods
    for key in ("spec", "template", "spec", "containers"):
        spec = spec.get(key) if isinstance(spec, dict) else None
    found = spec if isinstance(spec, list) else []
    return [c for c in found if isinstance(c, dict) and isinstance(c.get("name"), str)]


def _named(index: int, obj: dict[str, Any], namespace: str) -> Iterator[Problem]:
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str) or not meta["name"]:
        yield index, ("metadata",), "has no name", "write metadata: {name: …}"
    elif not re.fullmatch(_NAME, meta["name"]):
        # relman appends -preview, and a Service's name is a label of DNS.
        yield (
            index,
            ("metadata", "name"),
            f"{meta['name']!r} is no name",
            "lower-case letters, digits, -; at most 55",
        )
    elif wrong := [k for k in ("labels", "annotations") if not isinstance(meta.get(k) or {}, dict)]:
        for key in wrong:
            yield index, ("metadata", key), f"{key} are no mapping", f"write {key}: {{name: value}}"
    elif meta["name"].startswith(RESERVED):
        hint = f"give it another name; {RESERVED}… is where relman remembers what it was asked for"
        yield index, ("metadata", "name"), f"{meta['name']!r} is relman's own", hint
    elif meta.get("namespace", namespace) != namespace:
        place = ("metadata", "namespace")
        yield index, place, f"is in the namespace {meta['namespace']}", f"the environment's is {namespace}"


def _updates(index: int, obj: dict[str, Any]) -> Iterator[Problem]:
    """A StatefulSet updates all its pods by itself, and keeps them all by its own rules."""
    spec = obj.get("spec")
    strategy = spec.get("updateStrategy") if isinstance(spec, dict) and obj["kind"] == "StatefulSet" else None
    rolling = strategy.get("rollingUpdate") if isinstance(strategy, dict) else None
    if isinstance(strategy, dict) and strategy.get("type", "RollingUpdate") != "RollingUpdate":
        hint = "leave updateStrategy out; relman waits until every pod is of the new version"
        yield index, ("spec", "updateStrategy"), f"has the updateStrategy {strategy['type']}", hint
    if isinstance(rolling, dict) and rolling.get("partition"):
        place = ("spec", "updateStrategy", "rollingUpdate")
        yield index, place, "keeps some pods at the old version by a partition", "leave partition out"


def _pods(index: int, obj: dict[str, Any], container: str | None) -> Iterator[Problem]:
    names = [c["name"] for c in _containers(obj)]
    if chosen_container(obj, container) is None:
        found = ", ".join(names) or "none"
        wanted = f"no container {container}" if container else "not exactly one container"
        place = ("spec", "template", "spec", "containers")
        yield index, place, f"has {wanted} (found: {found})", "name one by container: of the environment"
    inner: Any = obj
    for key in ("spec", "template", "metadata", "labels"):
        inner = {} if inner is None else inner
        if not isinstance(inner, dict):
            break
        inner = inner.get(key)
    if not isinstance(inner or {}, dict):
        pods = ("spec", "template", "metadata")
        yield index, pods, "labels of its pods are no mapping", "write metadata: {labels: {app: …}}"
    labels: Any = obj.get("spec")
    for key in ("selector", "matchLabels"):
        labels = labels.get(key) if isinstance(labels, dict) else None
    if not isinstance(labels, dict) or not labels:
        yield index, ("spec",), "has no selector", "write spec: {selector: {matchLabels: {app: …}}}"


def _service(index: int, obj: dict[str, Any]) -> Iterator[Problem]:
    spec = obj.get("spec")
    ports = spec.get("ports") if isinstance(spec, dict) else None
    if (
        not isinstance(ports, list)
        or not ports
        or not all(isinstance(p, dict) and p.get("port") for p in ports)
    ):
        yield index, ("spec",), "has no ports", "write spec: {ports: [{port: 80, targetPort: …}]}"
