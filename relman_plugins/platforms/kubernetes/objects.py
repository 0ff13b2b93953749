"""From a workload and what is desired to the objects that are applied: pure."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from relman_plugins.domain.base import canonical_json, digest_of
from relman_plugins.domain.state import Revision, RollingBounds
from relman_plugins.domain.workload import KINDS, ROUTE, Workload

Obj = dict[str, Any]

SLOTS = ("blue", "green")

MANAGER = "relman"
"""The one field manager of everything that relman applies."""

ENVIRONMENT, SERVICE, SLOT = "relman/environment", "relman/service", "relman/slot"
REVISION = "relman/revision"
"""Label of a Deployment and its pods: what `revision_key` returns."""

VERSION_LABEL = "app.kubernetes.io/version"
"""Label of a Deployment and its pods, for metrics: the version, as far as a label can say it."""

VERSION, DIGEST, URI, IMAGE = "relman/version", "relman/digest", "relman/uri", "relman/image"
"""Annotations of a Deployment: the revision, as far as a label can't hold it."""

MADE_FROM = "relman/made-from"
"""Annotation of a Deployment: manifest and configuration it was made from, so that it can be left alone."""

MOST_NOTED = 100_000
"""Characters that this annotation may have; Kubernetes takes 256 KiB of all of an object's."""


class Objects:
    """Makes the objects of one service in one environment."""

    def __init__(self, workload: Workload, environment: str, service: str) -> None:
        self.workload, self.environment, self.service = workload, environment, service
        self.owned = {
            "app.kubernetes.io/managed-by": MANAGER,
            ENVIRONMENT: environment,
            SERVICE: service,
        }
        self.selector = ",".join(f"{k}={v}" for k, v in self.owned.items())

    def is_ours(self, obj: Obj) -> bool:
        """Say whether an object of the cluster belongs to this service in this environment."""
        return self.owned.items() <= (obj["metadata"].get("labels") or {}).items()

    def was_ours(self, obj: Obj) -> bool:
        """Say whether relman applied an object that has no other owner's labels now."""
        labels, managers = obj["metadata"].get("labels") or {}, obj["metadata"].get("managedFields") or []
        applied = any((m.get("manager"), m.get("operation")) == (MANAGER, "Apply") for m in managers)
        return applied and all(labels.get(k, v) == v for k, v in self.owned.items())

    @property
    def url(self) -> str:
        """Return where the service answers."""
        port = self.workload.one("Service")["spec"]["ports"][0]["port"]
        inside = f"http://{self.service_name()}.{self.workload.namespace}.svc:{port}"
        return self.workload.url or inside

    def path(self, kind: str, name: str = "") -> str:
        """Return the path of a kind's objects, or of one, in the API."""
        version, plural = KINDS[kind]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        return f"{root}/namespaces/{self.workload.namespace}/{plural}" + (f"/{name}" if name else "")

    def revision_key(self, revision: Revision, config: Mapping[str, str], manifest: Obj | None = None) -> str:
        """Return what makes two Deployments run the same thing: 16 hex digits."""
        template = manifest or self.workload.one("Deployment")
        what = [revision.version, revision.digest, revision.image, dict(config), template]
        return digest_of(what).partition(":")[2][:16]

    def deployment_name(self, slot: str) -> str:
        """Return the name of a slot's Deployment."""
        return f"{self.workload.one('Deployment')['metadata']['name']}-{slot}"

    def service_name(self, which: str = "") -> str:
        """Return the name of the Service, of a slot's, or of ``preview``."""
        name = str(self.workload.one("Service")["metadata"]["name"])
        return f"{name}-{which}" if which else name

    def deployment(
        self,
        slot: str,
        revision: Revision,
        replicas: int,
        config: Mapping[str, str],
        bounds: RollingBounds | None = None,
        manifest: Obj | None = None,
    ) -> Obj:
        """Return the Deployment of a revision in a slot; ``manifest`` where it is not the workload's."""
        manifest = manifest or self.workload.one("Deployment")
        made = self._owned(manifest, self.deployment_name(slot))
        key = self.revision_key(revision, config, manifest)
        made_from = canonical_json({"manifest": manifest, "config": dict(config)})
        mine = {ENVIRONMENT: self.environment, SERVICE: self.service, SLOT: slot}
        told = {REVISION: key, VERSION_LABEL: _label(revision.version)}
        made["metadata"]["labels"] |= {SLOT: slot, **told}
        made["metadata"]["annotations"] = (made["metadata"].get("annotations") or {}) | {
            VERSION: revision.version,
            DIGEST: revision.digest,
            URI: revision.uri,
            IMAGE: str(revision.image),
            **({MADE_FROM: made_from} if len(made_from) <= MOST_NOTED else {}),
        }
        spec = made["spec"]
        spec["replicas"] = replicas
        spec["selector"]["matchLabels"] = spec["selector"]["matchLabels"] | mine
        if bounds is not None:
            rolling = {"maxSurge": bounds.max_surge, "maxUnavailable": bounds.max_unavailable}
            spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
        meta = spec["template"].setdefault("metadata", {})
        meta["labels"] = (meta.get("labels") or {}) | mine | told
        for container in spec["template"]["spec"]["containers"]:
            if container["name"] == self.workload.container:
                container["image"] = revision.image
                given = {**config, "RELMAN_VERSION": revision.version, "RELMAN_DIGEST": revision.digest}
                kept = [e for e in container.get("env") or [] if e.get("name") not in given]
                container["env"] = [*kept, *({"name": k, "value": v} for k, v in given.items())]
        return made

    def unchanged(self, live: Obj, revision: Revision, replicas: int) -> Obj | None:
        """Return a Deployment that runs already with other replicas, made from what it was made from.

        None when that is not known.
        """
        notes = live["metadata"]["annotations"]
        try:
            made_from = json.loads(notes[MADE_FROM])
            config, manifest = made_from["config"], made_from["manifest"]
        except (KeyError, ValueError, TypeError):
            return None
        return self.deployment(live["metadata"]["labels"][SLOT], revision, replicas, config, None, manifest)

    def main_service(self, slot: str | None) -> Obj:
        """Return the Service, selecting one slot, or the pods of both."""
        return self._service("", {SLOT: slot} if slot else {})

    def other_service(self, which: str, slot: str) -> Obj:
        """Return a Service beside it: a slot's own for a router, or ``preview``."""
        made = self._service(which, {SLOT: slot})
        # What is said of the main one (an address, a load balancer) is not for this.
        made["spec"] = {k: v for k, v in made["spec"].items() if k in ("selector", "ports")} | {
            "type": "ClusterIP"
        }
        for port in made["spec"]["ports"]:
            port.pop("nodePort", None)
        return made

    def route(self, weights: Mapping[str, int]) -> Obj:
        """Return the HTTPRoute that splits the traffic: percent by slot."""
        made = self._owned(self.workload.one(ROUTE))
        for rule in made["spec"].get("rules") or []:
            rule["backendRefs"] = [
                split
                for backend in rule.get("backendRefs") or []
                for split in (self._split(backend, weights) if self._is_main(backend) else [backend])
            ]
            if not rule["backendRefs"]:
                del rule["backendRefs"]
        return made

    def _is_main(self, backend: Obj) -> bool:
        """Say whether a backend is the Service itself, and not what has its name elsewhere."""
        where = (backend.get("namespace") or self.workload.namespace, backend.get("kind") or "Service")
        return backend.get("name") == self.service_name() and where == (self.workload.namespace, "Service")

    def _split(self, backend: Obj, weights: Mapping[str, int]) -> list[Obj]:
        return [
            backend | {"name": self.service_name(slot), "weight": weights[slot]}
            for slot in SLOTS
            if slot in weights
        ]

    def as_is(self, obj: Obj) -> Obj:
        """Return an object that is applied as it is, marked as ours."""
        return self._owned(obj)

    def _service(self, which: str, slot: Mapping[str, str]) -> Obj:
        made = self._owned(self.workload.one("Service"), self.service_name(which))
        made["spec"]["selector"] = {ENVIRONMENT: self.environment, SERVICE: self.service, **slot}
        return made

    def _owned(self, obj: Obj, name: str | None = None) -> Obj:
        made = copy.deepcopy(obj)
        made.pop("status", None)
        meta = made["metadata"]
        meta["namespace"] = self.workload.namespace
        meta["name"] = name or meta["name"]
        meta["labels"] = (meta.get("labels") or {}) | self.owned
        return made


def _label(version: str) -> str:
    """Return a version as the value of a label: at most 63 letters, digits and ``-_.``, as Helm does it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", version)[:63].strip("-_.")
