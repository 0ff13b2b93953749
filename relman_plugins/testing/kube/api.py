"""The REST API: paths, verbs, discovery, patches, watches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from relman_plugins.testing.kube import fields
from relman_plugins.testing.kube.faults import Faults
from relman_plugins.testing.kube.resources import (
    BY_KIND,
    RESOURCES,
    ApiError,
    Obj,
    Resource,
    not_found,
    outdated,
    selects,
)
from relman_plugins.testing.kube.store import Change, Store

WATCH_S = 30.0
"""How long a watch lasts that asked for no time of its own."""


@dataclass(frozen=True)
class Request:
    """A request, taken apart."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    query: dict[str, str]

    @property
    def rule(self) -> tuple[str, str]:
        """Return verb and ``plural.group/subresource``: what an access rule has to allow."""
        inner = f"/{self.subresource}" if self.subresource else ""
        return self.verb, self.resource.name + inner


def parse(method: str, target: str) -> Request | None:
    """Return what is asked for; None for what is no object: discovery, and paths that do not exist."""
    url = urlsplit(target)
    query = {k: v[-1] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
    parts = [p for p in url.path.split("/") if p]
    if parts[:2] == ["api", "v1"]:
        group, rest = "", parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, rest = parts[1], parts[3:]
    else:
        return None
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = next((r for r in RESOURCES if rest and (r.group, r.plural) == (group, rest[0])), None)
    if resource is None:
        return None
    name, subresource = (rest[1] if len(rest) > 1 else ""), "/".join(rest[2:])
    verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    watching = query.get("watch") in ("1", "true", "True")
    verb = verbs.get(method) or ("watch" if watching else "get" if name else "list")
    return Request(verb, resource, namespace, name, subresource, query)


class Api:
    """Carries out requests."""

    def __init__(self, store: Store, faults: Faults, logs: Callable[[Obj, dict[str, str]], bytes]) -> None:
        self.store, self.faults, self.logs = store, faults, logs
        self.cuts = 0
        """How often all watches were cut."""

    def discovery(self, path: str) -> Obj:
        """Answer what clients ask to find out what there is; raise ApiError 404."""
        parts = [p for p in path.split("?")[0].split("/") if p]
        groups = sorted({(r.group, r.version) for r in RESOURCES if r.group})
        if parts == ["version"]:
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.0-relman"}
        if parts == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["apis"]:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*g) for g in groups]}
        if parts == ["api", "v1"]:
            return _resources("v1", "")
        if len(parts) == 3 and parts[0] == "apis" and (parts[1], parts[2]) in groups:
            return _resources("/".join(parts[1:]), parts[1])
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    def do(self, request: Request, body: bytes, content_type: str, agent: str) -> tuple[int, Obj]:
        """Carry out a request that is no watch; return status and answer. Raise ApiError."""
        match request.verb:
            case "get":
                return 200, self.store.get(request.resource, request.namespace, request.name)
            case "list":
                return 200, self._list(request)
            case "delete":
                return 200, self._delete(request, json.loads(body or b"{}"))
            case "create":
                return self._written(request, _object(request, body), agent, creating=True)
            case "update":
                return self._written(request, _object(request, body), agent)
            case _:
                return self._patch(request, body, content_type, agent)

    def log(self, request: Request) -> bytes:
        """Return the log of a pod's container; raise ApiError."""
        return self.logs(self.store.get(request.resource, request.namespace, request.name), request.query)

    def watch(self, request: Request, cuts: int) -> Iterator[Obj]:
        """Return the events of a watch, until its time is over or it is cut; raise ApiError 410 first.

        ``cuts``: how often all watches had been cut when it was asked for.
        """
        asked = request.query.get("resourceVersion") or "0"
        with self.store.changed:
            if asked != "0" and int(asked) < self.store.forgotten:
                raise gone(asked, self.store.forgotten)
            last = self.store.version if asked == "0" else int(asked)
            first = self.store.all(request.resource.kind, request.namespace or None) if asked == "0" else []
        return self._events(request, last, [_event("ADDED", o) for o in first if _chosen(request, o)], cuts)

    def _events(self, request: Request, last: int, first: list[Obj], cuts: int) -> Iterator[Obj]:
        store = self.store
        ends = monotonic() + float(request.query.get("timeoutSeconds") or WATCH_S)
        marks = request.query.get("allowWatchBookmarks") in ("1", "true", "True")
        yield from first
        while True:
            with store.changed:
                news = [c for c in store.history if c.version > last]
                while not news and monotonic() < ends and cuts == self.cuts and last >= store.forgotten:
                    store.changed.wait(max(0.0, ends - monotonic()))
                    news = [c for c in store.history if c.version > last]
                expired, version = last < store.forgotten, store.version
            for change in news:
                last = change.version
                if event := _seen(request, change):
                    yield event
            if news:
                continue
            if expired:
                yield {"type": "ERROR", "object": gone(str(last), store.forgotten).status()}
            elif marks and cuts == self.cuts:
                yield _bookmark(request.resource, version)
            return

    def cut(self) -> None:
        """Close all watches."""
        with self.store.changed:
            self.cuts += 1
            self.store.changed.notify_all()

    def _list(self, request: Request) -> Obj:
        with self.store.changed:
            namespace = request.namespace or None
            found = [o for o in self.store.all(request.resource.kind, namespace) if _chosen(request, o)]
            # As the API does it: the list says of what kind all of them are.
            items = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in found]
            return {
                "kind": f"{request.resource.kind}List",
                "apiVersion": request.resource.api_version,
                "metadata": {"resourceVersion": str(self.store.version)},
                "items": items,
            }

    def _delete(self, request: Request, options: Obj) -> Obj:
        wanted = options.get("preconditions") or {}
        live = self.store.get(request.resource, request.namespace, request.name)
        if _dry(request) or "All" in (options.get("dryRun") or []):
            return live
        return self.store.remove(
            request.resource,
            request.namespace,
            request.name,
            uid=wanted.get("uid"),
            version=wanted.get("resourceVersion"),
        )

    def _patch(self, request: Request, body: bytes, content_type: str, agent: str) -> tuple[int, Obj]:
        with self.store.changed:
            live = self.store.find(request.resource.kind, request.namespace, request.name)
            if content_type.startswith("application/apply-patch"):
                return self._applied(request, yaml.safe_load(body), live)
            if not content_type.startswith(("application/merge-patch", "application/strategic-merge-patch")):
                raise ApiError(415, "UnsupportedMediaType", f"the body of the request was in {content_type}")
            if live is None:
                raise not_found(request.resource, request.name)
            return self._written(request, _merged(live, json.loads(body)), agent)

    def _applied(self, request: Request, config: Any, live: Obj | None) -> tuple[int, Obj]:
        if not isinstance(config, dict) or "kind" not in config or "apiVersion" not in config:
            raise ApiError(400, "BadRequest", "Object 'Kind' is missing")
        manager = request.query.get("fieldManager")
        if not manager:
            raise ApiError(
                422, "Invalid", "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value"
            )
        meta = config.setdefault("metadata", {})
        if meta.get("managedFields"):
            raise ApiError(400, "BadRequest", "metadata.managedFields must be nil")
        meta["name"] = request.name
        if request.namespace:
            meta["namespace"] = request.namespace
        expected, uid = meta.pop("resourceVersion", None), meta.pop("uid", None)
        # A version alone does not keep what is gone from being made again.
        if expected and live is not None and live["metadata"]["resourceVersion"] != expected:
            raise outdated(request.resource, request.name)
        if uid and (live is None or live["metadata"]["uid"] != uid):
            there = "no existing object was found" if live is None else f"{live['metadata']['uid']} is there"
            said = f"uid mismatch: the provided object specified uid {uid}, and {there}"
            raise ApiError(409, "Conflict", said)
        made = fields.apply(live, config, manager, force=request.query.get("force") in ("true", "True", "1"))
        obj, created = self.store.put(
            request.resource,
            made,
            status=request.subresource == "status",
            dry_run=_dry(request),
            admit=self.faults.admit,
        )
        return (201 if created else 200), obj

    def _written(self, request: Request, obj: Obj, agent: str, *, creating: bool = False) -> tuple[int, Obj]:
        with self.store.changed:
            name = obj["metadata"]["name"]
            live = self.store.find(request.resource.kind, request.namespace, name)
            if creating and live is not None:
                raise ApiError(409, "AlreadyExists", f'{request.resource.name} "{name}" already exists')
            if not creating and live is None:
                raise not_found(request.resource, name)
            expected = None if creating else obj["metadata"].get("resourceVersion")
            manager = request.query.get("fieldManager") or agent.split("/")[0]
            stored, created = self.store.put(
                request.resource,
                fields.update(live, obj, manager),
                expected=expected,
                status=request.subresource == "status",
                dry_run=_dry(request),
                admit=self.faults.admit,
            )
            return (201 if created else 200), stored


def gone(asked: str, oldest: int) -> ApiError:
    """Return the error for a version that is too old."""
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def _dry(request: Request) -> bool:
    return request.query.get("dryRun") == "All"


def _object(request: Request, body: bytes) -> Obj:
    obj: Obj = json.loads(body)
    obj.setdefault("apiVersion", request.resource.api_version)
    obj.setdefault("kind", request.resource.kind)
    meta = obj.setdefault("metadata", {})
    if request.namespace:
        meta["namespace"] = request.namespace
    if request.name:
        meta["name"] = request.name
    if not meta.get("name"):
        raise ApiError(422, "Invalid", f"{request.resource.kind} is invalid: metadata.name: Required value")
    return obj


def _merged(live: Any, patch: Any) -> Any:
    """Return the result of a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _chosen(request: Request, obj: Obj) -> bool:
    labels, wanted = obj["metadata"].get("labels", {}), request.query.get("fieldSelector", "")
    if not selects(request.query.get("labelSelector", ""), labels):
        return False
    for term in filter(None, wanted.split(",")):
        path, _, value = term.partition("=")
        found: Any = obj
        for part in path.split("."):
            found = found.get(part, {}) if isinstance(found, dict) else {}
        if found != value.lstrip("="):
            return False
    return True


def _seen(request: Request, change: Change) -> Obj | None:
    if change.resource != request.resource:
        return None
    if request.namespace and change.obj["metadata"].get("namespace") != request.namespace:
        return None
    is_in = _chosen(request, change.obj)
    was_in = change.before is not None and _chosen(request, change.before)
    if change.kind == "DELETED":
        return _event("DELETED", change.obj) if was_in else None
    if is_in:
        return _event("MODIFIED" if was_in else "ADDED", change.obj)
    return _event("DELETED", change.obj) if was_in else None


def _event(kind: str, obj: Obj) -> Obj:
    return {"type": kind, "object": obj}


def _bookmark(resource: Resource, version: int) -> Obj:
    meta = {"resourceVersion": str(version)}
    return _event("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta})


def _group(group: str, version: str) -> Obj:
    of = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [of], "preferredVersion": of}


def _resources(version: str, group: str) -> Obj:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    listed = [
        {
            "name": r.plural,
            "singularName": r.kind.lower(),
            "namespaced": r.namespaced,
            "kind": r.kind,
            "verbs": verbs,
        }
        for r in BY_KIND.values()
        if r.group == group
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": listed}
