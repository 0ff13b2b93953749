"""What a service's traffic is split by on Kubernetes: the object of its manifests that a router goes by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

ROUTE, VIRTUAL, INGRESS = "HTTPRoute", "VirtualService", "Ingress"

ROUTES = (ROUTE, VIRTUAL, INGRESS)
"""Kinds that routers go by; an Ingress only with the annotation `ROUTER`."""

ROUTER = "relman/router"
"""Annotation of an Ingress: the controller by which it is to split the traffic."""

NGINX = "ingress-nginx"
"""The only value of it. That controller splits by a second Ingress, so an Ingress alone doesn't say it."""

ANNOTATION = "nginx.ingress.kubernetes.io/"
"""How the annotations begin that this controller reads."""

CANARY = "canary"
"""What relman appends to the name of an Ingress for the second one."""

Problem = tuple[int, tuple[str | int, ...], str, str]
"""Index of the object, place in it, what is wrong, and what to do."""

Place = tuple[str | int, ...]


def notes_of(obj: Any) -> dict[str, Any]:
    """Return the annotations of an object, whatever is wrong with it."""
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    found = meta.get("annotations") if isinstance(meta, dict) else None
    return found if isinstance(found, dict) else {}


def is_route(obj: Any) -> bool:
    """Say whether a router splits the traffic by this object."""
    kind = obj.get("kind") if isinstance(obj, dict) else None
    return kind in (ROUTE, VIRTUAL) or (kind == INGRESS and ROUTER in notes_of(obj))


def is_host(host: Any, service: str, namespace: str) -> bool:
    """Say whether a host of Istio is a Service of the namespace: by its name alone, or by its whole one."""
    return host == service or str(host).startswith(f"{service}.{namespace}.svc.")


def routing_problems(objects: Sequence[Any], service: str, namespace: str) -> Iterator[Problem]:
    """Yield what keeps a router from splitting the traffic of a Service; its name is empty if it has none."""
    found = [index for index, obj in enumerate(objects) if is_route(obj)]
    for index in found[1:]:
        first = objects[found[0]]["kind"]
        hint = "a service has one HTTPRoute, one VirtualService, or one Ingress with " + ROUTER
        yield index, ("kind",), f"a second router, beside {first}", hint
    for index in found:
        obj = objects[index]
        if obj["kind"] == INGRESS:
            yield from _ingress(index, obj, objects)
        sent = list(_sent(obj))
        if service and not any(_is_to(obj, there, service, namespace) for _, there in sent):
            yield index, ("spec",), f"sends nothing to the Service {service}", NAME_IT[obj["kind"]]
        elif service:
            yield from _unsplit(index, obj, service, namespace)


NAME_IT = {
    ROUTE: "name it in backendRefs of a rule",
    VIRTUAL: "name it as the host of a destination in http",
    INGRESS: "name it as the backend of a path",
}
"""What to do when the Service is not in an object, by its kind."""

IN_HTTP = {
    "tls": "let the gateway end TLS, and write the route in http",
    "tcp": "write the route in http; what is no HTTP is not split by weight",
}
"""What to do with what a VirtualService sends by another protocol."""


def _sent(obj: dict[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield where an object sends requests to, each with its place."""
    if obj["kind"] == ROUTE:
        for at, rule in _entries(obj, "spec", "rules"):
            yield from _entries(rule, "backendRefs", at=at)
    elif obj["kind"] == VIRTUAL:
        for at, rule in _entries(obj, "spec", "http"):
            for place, to in _entries(rule, "route", at=at):
                if isinstance(to.get("destination"), dict):
                    yield (*place, "destination"), to["destination"]
    else:
        for at, rule in _entries(obj, "spec", "rules"):
            for place, path in _entries(rule, "http", "paths", at=at):
                backend = _inside(path, "backend", "service")
                if isinstance(backend, dict):
                    yield (*place, "backend", "service"), backend


def _is_to(obj: dict[str, Any], there: dict[str, Any], service: str, namespace: str) -> bool:
    if obj["kind"] == VIRTUAL:
        return is_host(there.get("host"), service, namespace)
    return bool(there.get("name") == service)


def _unsplit(index: int, obj: dict[str, Any], service: str, namespace: str) -> Iterator[Problem]:
    """Yield what an object sends to the Service that weights can't move."""
    if obj["kind"] == INGRESS and _inside(obj, "spec", "defaultBackend", "service", "name") == service:
        hint = "write it as a rule with the path /"
        yield index, ("spec", "defaultBackend"), f"sends to the Service {service} what no weight moves", hint
    if obj["kind"] != VIRTUAL:
        return
    for place, there in _sent(obj):
        if is_host(there.get("host"), service, namespace) and there.get("subset"):
            hint = "leave subset out: each version has a Service of its own"
            yield index, (*place, "subset"), f"names a subset of the Service {service}", hint
    for protocol in ("tls", "tcp"):
        for at, rule in _entries(obj, "spec", protocol):
            for _, to in _entries(rule, "route", at=at):
                if is_host(_inside(to, "destination", "host"), service, namespace):
                    said = f"sends to the Service {service} by {protocol}, and relman moves http alone"
                    yield index, ("spec", protocol), said, IN_HTTP[protocol]


def _ingress(index: int, obj: dict[str, Any], objects: Sequence[Any]) -> Iterator[Problem]:
    """Yield what ingress-nginx would not do, or do otherwise than with the weights it is told."""
    notes, at = notes_of(obj), ("metadata", "annotations")
    if notes[ROUTER] != NGINX:
        hint = f"write {ROUTER}: {NGINX}, or remove it: the Ingress is applied as it is then"
        yield index, (*at, ROUTER), f"{notes[ROUTER]!r} is no router that relman knows", hint
    for name in notes:
        if str(name).startswith(f"{ANNOTATION}canary"):
            hint = "remove it: relman writes a second Ingress with the weights"
            yield index, (*at, name), f"{name} is relman's to write", hint
    behaviour = f"{ANNOTATION}affinity-canary-behavior"
    if notes.get(f"{ANNOTATION}affinity") and notes.get(behaviour) != "legacy":
        said = "keeps users at a bad version by a cookie, whatever the weights are"
        yield index, (*at, f"{ANNOTATION}affinity"), said, f"add {behaviour}: legacy"
    name = _inside(obj, "metadata", "name")
    for other, there in enumerate(objects):
        if isinstance(there, dict) and there.get("kind") == INGRESS:
            taken = _inside(there, "metadata", "name")
            if taken == f"{name}-{CANARY}":
                said = f"{taken} is what relman calls the second Ingress of {name}"
                yield other, ("metadata", "name"), said, "give it another name"


def _inside(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _entries(value: Any, *keys: str, at: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield the mappings in a list, each with its place."""
    found = _inside(value, *keys)
    for number, entry in enumerate(found if isinstance(found, list) else []):
        if isinstance(entry, dict):
            yield (*at, *keys, number), entry
