"""Controllers that make Deployments, ReplicaSets, EndpointSlices and routes what they ask to be.

Level-triggered and driven by changes only: a pass over everything follows each change and makes the next.
No time plays a part, but for tests that hold something until they let it go.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from math import ceil, floor
from threading import Thread
from typing import Any

from relman_plugins.domain.base import digest_of
from relman_plugins.testing.kube.faults import Faults
from relman_plugins.testing.kube.jobs import Jobs
from relman_plugins.testing.kube.kubelet import Kubelet, has_ended
from relman_plugins.testing.kube.notes import condition, note
from relman_plugins.testing.kube.resources import BY_KIND, ApiError, Obj
from relman_plugins.testing.kube.stateful import StatefulSets, is_ready, owned, owner_of
from relman_plugins.testing.kube.store import Store

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


class Controllers:
    """A thread that runs all controllers after every change."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store, self.faults = store, faults
        self.kubelet = Kubelet(store, faults)
        self._stateful = StatefulSets(store, self.kubelet)
        self.jobs = Jobs(store, self.kubelet)
        self.gateway = True
        """Whether a gateway takes the routes, and an Ingress controller gives addresses."""
        self.deaf: set[str] = set()
        """Gateways that take none, while others do."""
        self.endpoints = True
        """Whether EndpointSlices follow the Services and their pods."""
        self.running = False
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self.running = True
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        with self.store.changed:
            self.running = False
            self.store.changed.notify_all()
        self._thread.join()
        self.kubelet.job_pods.stop()

    def kick(self) -> None:
        """Let them look again, though no object has changed."""
        self.kubelet.kick()

    def _run(self) -> None:
        seen = (-1, -1)
        while True:
            with self.store.changed:
                while self.running and seen == (self.store.version, self.kubelet.kicks):
                    self.store.changed.wait()
                if not self.running:
                    return
                seen = (self.store.version, self.kubelet.kicks)
            for deployment in self.store.all("Deployment"):
                self._guarded(self._deployment, deployment)
            for stateful in self.store.all("StatefulSet"):
                self._guarded(self._stateful.tend, stateful)
            for replica_set in self.store.all("ReplicaSet"):
                self._guarded(self._replica_set, replica_set)
            for job in self.store.all("Job"):
                self._guarded(self._job, job)
            self.kubelet.job_pods.forget()
            for pod in self.store.all("Pod"):
                self._guarded(self.kubelet.tend, pod)
            for service in self.store.all("Service") if self.endpoints else ():
                self._guarded(self._service, service)
            for route in self.store.all("HTTPRoute") if self.gateway else ():
                self._guarded(self._route, route)
            for ingress in self.store.all("Ingress") if self.gateway else ():
                self._guarded(self._ingress, ingress)

    def _guarded(self, control: Any, obj: Obj) -> None:
        # It was deleted since it was listed: the next pass knows.
        with suppress(ApiError):
            control(obj)

    def _deployment(self, deployment: Obj) -> None:
        spec, meta = deployment["spec"], deployment["metadata"]
        wanted = spec.get("replicas", 1)
        sets = [s for s in self.store.all("ReplicaSet", meta["namespace"]) if owned(s, deployment)]
        name = f"{meta['name']}-{digest_of(spec['template'])[7:17]}"
        new = next((s for s in sets if s["metadata"]["name"] == name), None)
        old = [s for s in sets if s["metadata"]["name"] != name]
        if new is None:
            number = max((int(s["metadata"]["annotations"][REVISION]) for s in sets), default=0) + 1
            new = self._new_set(deployment, name, number)
        self._scale(deployment, new, old, wanted)
        number = new["metadata"]["annotations"][REVISION]
        if meta.get("annotations", {}).get(REVISION) != number:
            live = self.store.find("Deployment", meta["namespace"], meta["name"])
            if live is not None:
                live["metadata"].setdefault("annotations", {})[REVISION] = number
                self.store.put(BY_KIND["Deployment"], live)
        self._deployment_status(deployment, name, wanted)

    def _new_set(self, deployment: Obj, name: str, number: int) -> Obj:
        meta, template = deployment["metadata"], copy.deepcopy(deployment["spec"]["template"])
        label = {HASH: name.rpartition("-")[2]}
        template["metadata"]["labels"] |= label
        made = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": meta["namespace"],
                "labels": dict(template["metadata"]["labels"]),
                "annotations": {REVISION: str(number)},
                "ownerReferences": [owner_of(deployment)],
            },
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": deployment["spec"]["selector"]["matchLabels"] | label},
                "template": template,
            },
        }
        note(self.store, deployment, "Normal", "ScalingReplicaSet", f"Scaled up replica set {name}")
        return self.store.put(BY_KIND["ReplicaSet"], made)[0]

    def _scale(self, deployment: Obj, new: Obj, old: list[Obj], wanted: int) -> None:
        strategy = deployment["spec"].get("strategy") or {}
        asked_old = sum(s["spec"]["replicas"] for s in old)
        if strategy.get("type") == "Recreate":
            for replica_set in old:
                self._resize(replica_set, 0)
            if not any(self._pods(s) for s in old):
                self._resize(new, wanted)
            return
        bounds = strategy.get("rollingUpdate") or {}
        surge = _count(bounds.get("maxSurge", "25%"), wanted, up=True)
        unavailable = _count(bounds.get("maxUnavailable", "25%"), wanted, up=False)
        if not surge and not unavailable:
            unavailable = 1
        has = new["spec"]["replicas"]
        room = wanted + (surge if asked_old else 0) - asked_old - has
        self._resize(new, max(0, min(wanted, has + room)) if has <= wanted else wanted)
        ready = sum(is_ready(p) for s in (new, *old) for p in self._pods(s))
        spare = ready - max(0, wanted - unavailable)
        for replica_set in old:
            here = replica_set["spec"]["replicas"]
            unready = here - sum(is_ready(p) for p in self._pods(replica_set))
            fewer = min(here, max(0, spare) + max(0, unready))
            if fewer:
                self._resize(replica_set, here - fewer)
                spare -= max(0, fewer - max(0, unready))

    def _resize(self, replica_set: Obj, replicas: int) -> None:
        if replica_set["spec"]["replicas"] == replicas:
            return
        meta = replica_set["metadata"]
        live = self.store.get(BY_KIND["ReplicaSet"], meta["namespace"], meta["name"])
        live["spec"]["replicas"] = replicas
        self.store.put(BY_KIND["ReplicaSet"], live)

    def _deployment_status(self, seen: Obj, new: str, wanted: int) -> None:
        meta = seen["metadata"]
        sets = [s for s in self.store.all("ReplicaSet", meta["namespace"]) if owned(s, seen)]
        pods = {s["metadata"]["name"]: self._pods(s) for s in sets}
        everyone = [p for found in pods.values() for p in found]
        updated, ready = pods.get(new, []), [p for p in everyone if is_ready(p)]
        complete = len(updated) == len(everyone) == len(ready) == wanted
        failure = next((c for s in sets for c in s.get("status", {}).get("conditions", [])), None)
        if complete:
            progress = condition(
                "Progressing", "True", "NewReplicaSetAvailable", "has successfully progressed."
            )
        elif meta["name"] in self.kubelet.overdue:
            why = f'ReplicaSet "{new}" has timed out progressing.'
            progress = condition("Progressing", "False", "ProgressDeadlineExceeded", why)
        else:
            progress = condition(
                "Progressing", "True", "ReplicaSetUpdated", f'ReplicaSet "{new}" is progressing.'
            )
        available = condition("Available", "True" if len(ready) >= wanted else "False", "MinimumReplicas", "")
        status = {
            "observedGeneration": meta["generation"],
            "replicas": len(everyone),
            "updatedReplicas": len(updated),
            "readyReplicas": len(ready),
            "availableReplicas": len(ready),
            "unavailableReplicas": max(0, wanted - len(ready)),
            "conditions": [available, progress, *([failure] if failure else [])],
        }
        self.store.put(BY_KIND["Deployment"], seen | {"status": status}, status=True)

    def _pods(self, owner: Obj) -> list[Obj]:
        """Return the pods that count: one that has ended stays, and another takes its place."""
        pods = self.store.all("Pod", owner["metadata"]["namespace"])
        return [p for p in pods if owned(p, owner) and not has_ended(p)]

    def _replica_set(self, replica_set: Obj) -> None:
        meta, wanted = replica_set["metadata"], replica_set["spec"]["replicas"]
        pods = sorted(self._pods(replica_set), key=is_ready)
        failed: str | None = None
        for pod in pods[: max(0, len(pods) - wanted)]:
            self.store.remove(BY_KIND["Pod"], meta["namespace"], pod["metadata"]["name"])
        for _ in range(len(pods), wanted):
            failed = self._forbidden(meta["namespace"]) or self.faults.denied.get("Pod")
            if failed:
                note(self.store, replica_set, "Warning", "FailedCreate", f"Error creating: {failed}")
                break
            self.kubelet.create(replica_set)
        there = self._pods(replica_set)
        trouble = condition("ReplicaFailure", "True", "FailedCreate", failed) if failed else None
        status = {
            "replicas": len(there),
            "readyReplicas": sum(map(is_ready, there)),
            "observedGeneration": meta["generation"],
            **({"conditions": [trouble]} if trouble else {}),
        }
        self.store.put(BY_KIND["ReplicaSet"], replica_set | {"status": status}, status=True)

    def _job(self, job: Obj) -> None:
        self.jobs.tend(job, self._forbidden(job["metadata"]["namespace"]) or self.faults.denied.get("Pod"))

    def _forbidden(self, namespace: str) -> str | None:
        pods = [p for p in self.store.all("Pod", namespace) if not has_ended(p)]
        limit, used = self.faults.quota.get(namespace), len(pods)
        if limit is None or used < limit:
            return None
        return (
            f"pods is forbidden: exceeded quota: compute, requested: pods=1, used: pods={used}, "
            f"limited: pods={limit}"
        )

    def _service(self, service: Obj) -> None:
        meta, selector = service["metadata"], service.get("spec", {}).get("selector")
        if not selector:
            return
        pods = self.store.all("Pod", meta["namespace"], **selector)
        made = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": "IPv4",
            "metadata": {
                "name": f"{meta['name']}-endpoints",
                "namespace": meta["namespace"],
                "labels": {"kubernetes.io/service-name": meta["name"]},
                "ownerReferences": [owner_of(service)],
            },
            "endpoints": [
                {
                    "addresses": [p["status"]["podIP"]],
                    "conditions": {"ready": is_ready(p)},
                    "targetRef": {"kind": "Pod", "name": p["metadata"]["name"], "uid": p["metadata"]["uid"]},
                }
                for p in pods
                if p.get("status", {}).get("podIP") and not has_ended(p)
            ],
            "ports": service["spec"].get("ports", []),
        }
        self.store.put(BY_KIND["EndpointSlice"], made)

    def _route(self, route: Obj) -> None:
        meta = route["metadata"]
        refs = [b for rule in route["spec"].get("rules", []) for b in rule.get("backendRefs", [])]
        missing = [b["name"] for b in refs if not self.store.find("Service", meta["namespace"], b["name"])]
        resolved = ("False", "BackendNotFound") if missing else ("True", "ResolvedRefs")
        said = [("Accepted", "True", "Accepted", ""), ("ResolvedRefs", *resolved, ", ".join(missing))]
        conditions = [condition(*c) | {"observedGeneration": meta["generation"]} for c in said]
        kept = [
            p for p in (route.get("status") or {}).get("parents", []) if p["parentRef"]["name"] in self.deaf
        ]
        parents = kept + [
            {"parentRef": ref, "controllerName": "relman.example/gateway", "conditions": conditions}
            for ref in route["spec"].get("parentRefs", [])
            if ref["name"] not in self.deaf
        ]
        self.store.put(BY_KIND["HTTPRoute"], route | {"status": {"parents": parents}}, status=True)

    def _ingress(self, ingress: Obj) -> None:
        """Give it the address of the controller of the class `nginx`: that controller says no more of it."""
        if ingress["spec"].get("ingressClassName") == "nginx":
            status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
            self.store.put(BY_KIND["Ingress"], ingress | {"status": status}, status=True)


def _count(bound: Any, replicas: int, *, up: bool) -> int:
    if isinstance(bound, str):
        share = replicas * int(bound.rstrip("%")) / 100
        return ceil(share) if up else floor(share)
    return int(bound)
