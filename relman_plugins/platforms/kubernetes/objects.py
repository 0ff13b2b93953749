"""From a workload and what is desired to the objects that are applied: pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.state import Revision, RollingBounds
from relman_plugins.domain.workload import KINDS, Workload

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

REFERENCES = ("configMap", "configMapKeyRef", "configMapRef")
"""What a pod names a ConfigMap in, wherever in it: volumes, variables, variables of a whole ConfigMap."""


class Objects:
    """Makes the objects of one service in one environment."""

    def __init__(
        self, workload: Workload, environment: str, service: str, config: Mapping[str, str] | None = None
    ) -> None:
        """Keep what a version is made from.

        Args:
            workload: its manifests, and where they belong.
            environment: of the service.
            service: whose objects they are.
            config: variables that its pods get.
        """
        self.workload, self.environment, self.service = workload, environment, service
        self.config = dict(config or {})
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

    @property
    def made_from(self) -> Obj:
        """Return all that a version is made from but its artifact, for `remade`."""
        return {
            "objects": list(self.workload.objects),
            "container": self.workload.container,
            "config": self.config,
        }

    def remade(self, made_from: Obj) -> Objects:
        """Return the objects of a version that was made from something else, in the same place."""
        work = {"objects": tuple(made_from["objects"]), "container": made_from["container"]}
        workload = self.workload.model_copy(update=work)
        return Objects(workload, self.environment, self.service, made_from["config"])

    def revision_key(self, revision: Revision) -> str:
        """Return what makes two versions run the same thing: 16 hex digits."""
        what = [revision.version, revision.digest, revision.image, self.made_from]
        return _short_digest(what, 16)

    def deployment_name(self, slot: str) -> str:
        """Return the name of a slot's Deployment, or of the StatefulSet, whose pods and disks keep it."""
        name = str(self.workload.pods["metadata"]["name"])
        return name if self.workload.in_place else f"{name}-{slot}"

    def service_name(self, which: str = "") -> str:
        """Return the name of the Service, of a slot's, or of ``preview``."""
        name = str(self.workload.one("Service")["metadata"]["name"])
        return f"{name}-{which}" if which else name

    def deployment(
        self,
        slot: str,
        revision: Revision,
        replicas: int,
        bounds: RollingBounds | None = None,
    ) -> Obj:
        """Return the Deployment of a revision in a slot, or the StatefulSet; that has no bounds."""
        made = self.as_ours(self.workload.pods, self.deployment_name(slot))
        key = self.revision_key(revision)
        mine = {ENVIRONMENT: self.environment, SERVICE: self.service, SLOT: slot}
        told = {REVISION: key, VERSION_LABEL: _label(revision.version)}
        made["metadata"]["labels"] |= {SLOT: slot, **told}
        made["metadata"]["annotations"] = (made["metadata"].get("annotations") or {}) | {
            VERSION: revision.version,
            DIGEST: revision.digest,
            URI: revision.uri,
            IMAGE: str(revision.image),
        }
        spec = made["spec"]
        spec["replicas"] = replicas
        spec["selector"]["matchLabels"] = spec["selector"]["matchLabels"] | mine
        if bounds is not None and not self.workload.in_place:
            rolling = {"maxSurge": bounds.max_surge, "maxUnavailable": bounds.max_unavailable}
            spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
        meta = spec["template"].setdefault("metadata", {})
        meta["labels"] = (meta.get("labels") or {}) | mine | told
        names = self.own_names()
        for reference in references(spec["template"]["spec"]):
            reference["name"] = names.get(reference["name"], reference["name"])
        for container in spec["template"]["spec"]["containers"]:
            if container["name"] == self.workload.container:
                container["image"] = revision.image
                given = {**self.config, "RELMAN_VERSION": revision.version, "RELMAN_DIGEST": revision.digest}
                kept = [e for e in container.get("env") or [] if e.get("name") not in given]
                container["env"] = [*kept, *({"name": k, "value": v} for k, v in given.items())]
        return made

    def as_it_is(self, live: Obj, replicas: int) -> Obj:
        """Return a Deployment as it stands with other replicas: for one of which nothing else is known."""
        made = bare(live["kind"], live)
        made["spec"]["replicas"] = replicas
        meta = live["metadata"]
        notes = {k: v for k, v in meta["annotations"].items() if k in (VERSION, DIGEST, URI, IMAGE)}
        labels = {
            k: v for k, v in meta["labels"].items() if k in (SLOT, REVISION, VERSION_LABEL, *self.owned)
        }
        made["metadata"] = {"name": meta["name"], "namespace": meta["namespace"]}
        made["metadata"] |= {"labels": labels, "annotations": notes}
        return made

    @property
    def own(self) -> list[Obj]:
        """Return the ConfigMaps that the Deployment names, under names that say what is in them."""
        names = self.own_names()
        return [
            self.as_ours(o, names[o["metadata"]["name"]]) for o in self.workload.extras if _is_in(o, names)
        ]

    @property
    def shared(self) -> list[Obj]:
        """Return the extras that have one name for every version, as they are applied."""
        names = self.own_names()
        return [self.as_ours(o) for o in self.workload.extras if not _is_in(o, names)]

    def own_names(self) -> dict[str, str]:
        """Return the names of the ConfigMaps that are the version's own, by those in the manifests."""
        named = {r["name"] for r in references(self.workload.pods["spec"]["template"]["spec"])}
        return {
            o["metadata"]["name"]: f"{o['metadata']['name']}-{_short_digest(o, 8)}"
            for o in self.workload.extras
            if o["kind"] == "ConfigMap" and o["metadata"]["name"] in named
        }

    @property
    def ports(self) -> list[Obj]:
        """Return the ports of the Service."""
        found: list[Obj] = self.workload.one("Service")["spec"]["ports"]
        return found

    def counterpart(self, port: Any, of: Objects) -> Any:
        """Return the number of this Service's port that means what ``port`` does in another version's.

        By the port's name; where each has only one port, it is that. None when there is no such port.
        """
        theirs = next((p for p in of.ports if p["port"] == port), None)
        if theirs is None:
            return port  # no port of the Service: what it means, whoever wrote it knows
        if len(of.ports) == len(self.ports) == 1:
            return self.ports[0]["port"]
        return next((p["port"] for p in self.ports if p.get("name") == theirs.get("name")), None)

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

    def memory(self, name: str, data: Mapping[str, str], **labels: str) -> Obj:
        """Return a ConfigMap in which relman remembers something."""
        named = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}
        return self.as_ours(named) | {"data": dict(data)}

    def _service(self, which: str, slot: Mapping[str, str]) -> Obj:
        made = self.as_ours(self.workload.one("Service"), self.service_name(which))
        made["spec"]["selector"] = {ENVIRONMENT: self.environment, SERVICE: self.service, **slot}
        return made

    def as_ours(self, obj: Obj, name: str | None = None) -> Obj:
        """Return an object of the manifests as it is applied, maybe under another name."""
        made = copy.deepcopy(obj)
        made.pop("status", None)
        meta = made["metadata"]
        meta["namespace"] = self.workload.namespace
        meta["name"] = name or meta["name"]
        meta["labels"] = (meta.get("labels") or {}) | self.owned
        return made


def key_of(deployment: Obj) -> str:
    """Return the key of the version that a Deployment makes pods of."""
    return str(deployment["spec"]["template"]["metadata"]["labels"].get(REVISION))


def references(value: Any) -> Iterator[Obj]:
    """Yield the parts of a pod that name a ConfigMap."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in REFERENCES and isinstance(inner, dict) and isinstance(inner.get("name"), str):
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def bare(kind: str, live: Obj) -> Obj:
    """Return an object of a list without its metadata: the API leaves out there of what kind each is."""
    return {"apiVersion": KINDS[kind][0], "kind": kind, "spec": copy.deepcopy(live["spec"])}


def _is_in(obj: Obj, names: Mapping[str, str]) -> bool:
    return obj["kind"] == "ConfigMap" and obj["metadata"]["name"] in names


def _short_digest(what: Any, digits: int) -> str:
    return digest_of(what).partition(":")[2][:digits]


def _label(version: str) -> str:
    """Return a version as the value of a label: at most 63 letters, digits and ``-_.``, as Helm does it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", version)[:63].strip("-_.")
