"""What becomes of pods: one step with each pass, by what was ordered for their image."""

from __future__ import annotations

import copy
import itertools

from relman_plugins.testing.kube.faults import Faults
from relman_plugins.testing.kube.job_pods import JobPods
from relman_plugins.testing.kube.notes import condition, note
from relman_plugins.testing.kube.resources import BY_KIND, Obj
from relman_plugins.testing.kube.store import Store

MOST_RESTARTS = 5
"""How often a crashing container is started again; a real one waits ever longer."""

NODES = ("node-1", "node-2")


class Kubelet:
    """Starts pods. Methods are called by the controllers' thread."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store, self.faults = store, faults
        self.kicks = 0
        self.overdue: set[str] = set()
        """Deployments whose deadline for progress is over."""
        self.lost: set[str] = set()
        """Nodes that are gone."""
        self.evicted: set[str] = set()
        """Pods that their nodes have no room for: they stay, as failed."""
        self.job_pods = JobPods(store, self.kick)
        self._numbers = itertools.count(1)

    def kick(self) -> None:
        """Let the controllers look again, though no object has changed."""
        with self.store.changed:
            self.kicks += 1
            self.store.changed.notify_all()

    def create(self, replica_set: Obj, ordinal: int | None = None) -> None:
        """Create a pod of a ReplicaSet or a Job, or that of a StatefulSet with a number."""
        from relman_plugins.testing.kube.stateful import owner_of

        meta, template = replica_set["metadata"], copy.deepcopy(replica_set["spec"]["template"])
        number = next(self._numbers)
        if replica_set["kind"] == "Job":
            template["spec"]["containers"] += copy.deepcopy(self.faults.injected)
        nodes = [n for n in NODES if n not in self.lost]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": template.get("metadata", {})
            | {
                "name": f"{meta['name']}-{number:05d}" if ordinal is None else f"{meta['name']}-{ordinal}",
                "namespace": meta["namespace"],
                "ownerReferences": [owner_of(replica_set)],
            },
            "spec": template["spec"] | {"nodeName": nodes[number % len(nodes)]},
        }
        self.store.put(BY_KIND["Pod"], pod)
        self._status(pod, "Pending", [])

    def tend(self, pod: Obj) -> None:
        """Take the next step of a pod's life."""
        if has_ended(pod):
            return
        if pod["metadata"]["name"] in self.evicted:
            status = {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource: memory.",
            }
            self.store.put(BY_KIND["Pod"], pod | {"status": status}, status=True)
            return
        if pod["spec"].get("nodeName") in self.lost:
            note(self.store, pod, "Warning", "NodeNotReady", "Node is not ready")
            self.store.remove(BY_KIND["Pod"], pod["metadata"]["namespace"], pod["metadata"]["name"])
            return
        of_job = pod["metadata"]["ownerReferences"][0]["kind"] == "Job"
        if of_job and "deletionTimestamp" in pod["metadata"]:
            self.job_pods.delete(pod)
            return
        container = pod["spec"]["containers"][0]
        image = str(container["image"])
        fate = next((f for key, f in self.faults.images.items() if key in image), "start")
        if of_job:
            new = self.job_pods.tend(pod, fate)
            if new is not None:
                self.store.put(BY_KIND["Pod"], pod | {"status": new}, status=True)
            return
        seen = (pod.get("status", {}).get("containerStatuses") or [None])[0]
        restarts = seen["restartCount"] if seen else 0
        if fate == "hold":
            return
        if fate == "pull":
            why = f'Back-off pulling image "{image}": not found'
            note(
                self.store,
                pod,
                "Warning",
                "Failed",
                f'Failed to pull image "{image}": manifest unknown: not found',
            )
            self._waiting(pod, "ImagePullBackOff", why, 0)
        elif fate in ("crash", "oom") and restarts < MOST_RESTARTS:
            name = container["name"]
            note(self.store, pod, "Warning", "BackOff", f"Back-off restarting failed container {name}")
            ended = (
                {"exitCode": 137, "reason": "OOMKilled"}
                if fate == "oom"
                else {"exitCode": 1, "reason": "Error"}
            )
            why = f"back-off 10s restarting failed container={name}"
            self._waiting(pod, "CrashLoopBackOff", why, restarts + 1, {"terminated": ended})
        elif fate == "hang":
            note(self.store, pod, "Warning", "Unhealthy", "Readiness probe failed: HTTP 503")
            self._running(pod, ready=False)
        elif fate == "start":
            self._running(pod, ready=pod.get("status", {}).get("phase") == "Running")

    def _running(self, pod: Obj, *, ready: bool) -> None:
        statuses = [
            _container(c) | {"state": {"running": {}}, "started": True, "ready": ready}
            for c in pod["spec"]["containers"]
        ]
        self._status(pod, "Running", statuses, ready=ready)

    def _waiting(self, pod: Obj, reason: str, message: str, restarts: int, last: Obj | None = None) -> None:
        state = {"waiting": {"reason": reason, "message": message}}
        more = {"state": state, "ready": False, "restartCount": restarts, "lastState": last or {}}
        self._status(pod, "Pending", [_container(c) | more for c in pod["spec"]["containers"]])

    def _status(self, pod: Obj, phase: str, containers: list[Obj], *, ready: bool = False) -> None:
        number = int(pod["metadata"]["name"].rpartition("-")[2])
        status = {
            "phase": phase,
            "podIP": f"10.0.{number // 250}.{number % 250 + 1}",
            "conditions": [condition("Ready", "True" if ready else "False", "", "")],
            "containerStatuses": containers,
        }
        self.store.put(BY_KIND["Pod"], pod | {"status": status}, status=True)


def has_ended(pod: Obj) -> bool:
    """Say whether a pod runs no more and never will; such pods stay until somebody deletes them."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def _container(container: Obj) -> Obj:
    image = container["image"]
    return {"name": container["name"], "image": image, "imageID": image, "restartCount": 0, "lastState": {}}
