"""The objects of the cluster, each change with a resource version, and the changes that watches are told."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Condition
from typing import Any, NamedTuple

from relman_plugins.testing.kube.resources import (
    BY_KIND,
    ApiError,
    Obj,
    Resource,
    invalid,
    not_found,
    outdated,
)
from relman_plugins.testing.kube.webhooks import review

Where = tuple[Resource, str, str]
"""Resource, namespace (empty for what has none), name."""


class Change(NamedTuple):
    """One change, as watches are told it."""

    version: int
    kind: str
    """``ADDED``, ``MODIFIED`` or ``DELETED``."""
    resource: Resource
    obj: Obj
    before: Obj | None


class Store:
    """All objects. Safe in threads: all happens under ``changed``, which is notified of every change."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.objects: dict[Where, Obj] = {}
        self.history: list[Change] = []
        self.version = 1
        self.forgotten = 0
        """The newest version whose change watches can't be told any more."""

    def get(self, resource: Resource, namespace: str, name: str) -> Obj:
        """Return a copy of an object; raise ApiError 404."""
        with self.changed:
            found = self.objects.get((resource, namespace, name))
            if found is None:
                raise not_found(resource, name)
            return copy.deepcopy(found)

    def find(self, kind: str, namespace: str, name: str) -> Obj | None:
        """Return a copy of an object by its kind, or None."""
        with self.changed:
            return copy.deepcopy(self.objects.get((BY_KIND[kind], namespace, name)))

    def all(self, kind: str, namespace: str | None = None, **labels: str) -> list[Obj]:
        """Return copies of the objects of a kind that have the labels, by name."""
        with self.changed:
            found = [
                o
                for (r, n, _), o in self.objects.items()
                if r.kind == kind
                and namespace in (None, n)
                and labels.items() <= o["metadata"].get("labels", {}).items()
            ]
            return copy.deepcopy(sorted(found, key=lambda o: str(o["metadata"]["name"])))

    def put(
        self,
        resource: Resource,
        obj: Obj,
        *,
        expected: str | None = None,
        status: bool = False,
        dry_run: bool = False,
        admit: Callable[[Resource, Obj | None, Obj], None] | None = None,
    ) -> tuple[Obj, bool]:
        """Create or replace an object; return it as stored, and whether it was created.

        Args:
            resource: its kind.
            obj: the object; server-made fields are taken from what is there.
            expected: the resource version it must still have.
            status: whether only the status is written; else everything but the status.
            dry_run: whether nothing is kept.
            admit: raises ApiError for what may not be.
        """
        with self.changed:
            namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
            where: Where = (resource, namespace, name)
            live = self.objects.get(where)
            if expected and (live is None or live["metadata"]["resourceVersion"] != expected):
                raise outdated(resource, name) if live else not_found(resource, name)
            if live is None and status:
                raise not_found(resource, name)
            new = copy.deepcopy(obj)
            if live is not None and status:
                new = copy.deepcopy(live) | {"status": new.get("status", {})}
            elif live is not None and resource.has_status:
                new.pop("status", None)
                if "status" in live:
                    new["status"] = copy.deepcopy(live["status"])
            self._server_made(resource, new, live)
            check(resource, new, live, self.objects)
            if admit:
                admit(resource, live, new)
                beside = [o for w, o in self.objects.items() if w[:2] == where[:2] and w != where]
                review(new, beside)
            if live is not None and _without_version(live) == _without_version(new):
                return copy.deepcopy(live), False
            if dry_run:
                return new, live is None
            self._keep(where, new, live)
            if resource.kind == "Namespace":
                new.setdefault("status", {"phase": "Active"})
            if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
                return self.remove(resource, namespace, name), False
            return copy.deepcopy(new), live is None

    def remove(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
    ) -> Obj:
        """Delete an object with what it owns; return it as it was. Raise ApiError 404, 409 for another.

        One that has finalizers is only marked, and goes when the last of them does.
        """
        with self.changed:
            where = (resource, namespace, name)
            live = self.objects.get(where)
            if live is None:
                raise not_found(resource, name)
            meta = live["metadata"]
            if (uid and meta["uid"] != uid) or (version and meta["resourceVersion"] != version):
                raise ApiError(
                    409,
                    "Conflict",
                    f'Precondition failed: the {resource.kind} "{name}" is another one by now',
                )
            if meta.get("finalizers"):
                if "deletionTimestamp" not in meta:
                    marked = copy.deepcopy(live)
                    marked["metadata"]["deletionTimestamp"] = now()
                    self._keep(where, marked, live)
                return copy.deepcopy(self.objects[where])
            del self.objects[where]
            self.version += 1
            gone = copy.deepcopy(live)
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._tell(Change(self.version, "DELETED", resource, gone, live))
            owned = [
                w
                for w, o in self.objects.items()
                if any(r["uid"] == meta["uid"] for r in o["metadata"].get("ownerReferences", []))
                or (resource.kind == "Namespace" and w[1] == name)
            ]
            for inner in owned:
                if inner in self.objects:
                    self.remove(*inner)
            return gone

    def forget(self) -> None:
        """Forget all changes so far: a watch that begins at an older version is told that it is gone."""
        with self.changed:
            self.history.clear()
            self.forgotten = self.version
            self.changed.notify_all()

    def _keep(self, where: Where, new: Obj, live: Obj | None) -> None:
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        self.objects[where] = new
        kind = "ADDED" if live is None else "MODIFIED"
        self._tell(Change(self.version, kind, where[0], copy.deepcopy(new), live))

    def _tell(self, change: Change) -> None:
        self.history.append(change)
        self.changed.notify_all()

    def _server_made(self, resource: Resource, new: Obj, live: Obj | None) -> None:
        meta = new["metadata"]
        if live is not None:
            before = live["metadata"]
            for name in ("uid", "creationTimestamp", "deletionTimestamp", "resourceVersion", "generation"):
                if name in before:
                    meta[name] = before[name]
        else:
            meta["uid"] = str(uuid.uuid4())
            meta["creationTimestamp"] = now()
            meta.pop("resourceVersion", None)
            if resource.has_status:
                new["status"] = {}
            if resource.counted:
                meta["generation"] = 1
        if live is not None and resource.counted and live.get("spec") != new.get("spec"):
            meta["generation"] += 1
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)


def check(resource: Resource, new: Obj, live: Obj | None, objects: dict[Where, Obj]) -> None:
    """Raise ApiError for what the API server itself refuses."""
    name, namespace = new["metadata"]["name"], new["metadata"].get("namespace", "")
    if resource.namespaced and live is None:
        room = objects.get((BY_KIND["Namespace"], "", namespace))
        if room is None:
            raise not_found(BY_KIND["Namespace"], namespace)
    owners = {r["uid"] for r in new["metadata"].get("ownerReferences", [])}
    if live is None and owners and not any(o["metadata"]["uid"] in owners for o in objects.values()):
        raise ApiError(404, "NotFound", f'the owner of {resource.name} "{name}" is gone')
    if resource.kind in ("Deployment", "StatefulSet"):
        spec = new["spec"]
        if live is not None and live["spec"]["selector"] != spec.get("selector"):
            raise invalid(resource, name, "spec.selector: Invalid value: field is immutable")
        fixed = ("serviceName", "volumeClaimTemplates", "podManagementPolicy")
        if live is not None and any(live["spec"].get(f) != spec.get(f) for f in fixed):
            said = (
                "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', "
            )
            raise invalid(resource, name, f"{said}'template', 'updateStrategy' are forbidden")
        wanted = (spec.get("selector") or {}).get("matchLabels") or {}
        given = spec["template"].get("metadata", {}).get("labels") or {}
        if not wanted or not wanted.items() <= given.items():
            raise invalid(
                resource, name, "spec.template.metadata.labels: `selector` does not match template `labels`"
            )
        if not spec["template"].get("spec", {}).get("containers"):
            raise invalid(resource, name, "spec.template.spec.containers: Required value")


def now() -> str:
    """Return the time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _without_version(obj: Obj) -> dict[str, Any]:
    meta = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    managers = obj["metadata"].get("managedFields", [])
    return obj | {"metadata": meta, "managers": sorted(managers, key=str)}
