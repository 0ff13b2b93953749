"""The controller of StatefulSets: pods with names, made and replaced one after the other.

After *StatefulSets* of the Kubernetes documentation, "Rolling Updates" and "Forced rollback": it waits for
each pod to be ready, and an unready one of an older template stays until somebody deletes it.
"""

from __future__ import annotations

import copy

from relman_plugins.domain.base import digest_of
from relman_plugins.testing.kube.kubelet import Kubelet, has_ended
from relman_plugins.testing.kube.resources import BY_KIND, Obj
from relman_plugins.testing.kube.store import Store

HASH = "controller-revision-hash"


class StatefulSets:
    """Methods are called by the controllers' thread."""

    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self.store, self.kubelet = store, kubelet

    def tend(self, stateful: Obj) -> None:
        """Take the next step of one."""
        meta, wanted = stateful["metadata"], int(stateful["spec"].get("replicas", 1))
        revision = f"{meta['name']}-{digest_of(stateful['spec']['template'])[7:17]}"
        self._step(stateful, wanted, revision)
        pods = self._pods(stateful)
        updated = [p for p in pods.values() if p["metadata"]["labels"][HASH] == revision]
        ready = [p for p in pods.values() if is_ready(p)]
        before = (stateful.get("status") or {}).get("currentRevision", revision)
        done = len(updated) == len(ready) == len(pods) == wanted
        status = {
            "observedGeneration": meta["generation"],
            "replicas": len(pods),
            "readyReplicas": len(ready),
            "updatedReplicas": len(updated),
            "currentReplicas": len(updated) if done else len(pods) - len(updated),
            "updateRevision": revision,
            "currentRevision": revision if done else before,
        }
        self.store.put(BY_KIND["StatefulSet"], stateful | {"status": status}, status=True)

    def _step(self, stateful: Obj, wanted: int, revision: str) -> None:
        pods = self._pods(stateful)
        for ordinal in range(wanted):
            pod = pods.get(ordinal)
            if pod is None:
                made = copy.deepcopy(stateful)
                made["spec"]["template"]["metadata"]["labels"] |= {HASH: revision}
                self.kubelet.create(made, ordinal)
                return
            if not is_ready(pod):
                return
        extra = [o for o in sorted(pods, reverse=True) if o >= wanted]
        old = [o for o in sorted(pods, reverse=True) if pods[o]["metadata"]["labels"][HASH] != revision]
        for ordinal in (extra or old)[:1]:
            meta = pods[ordinal]["metadata"]
            self.store.remove(BY_KIND["Pod"], meta["namespace"], meta["name"])

    def _pods(self, stateful: Obj) -> dict[int, Obj]:
        found = self.store.all("Pod", stateful["metadata"]["namespace"])
        mine = [p for p in found if owned(p, stateful) and not has_ended(p)]
        return {int(p["metadata"]["name"].rpartition("-")[2]): p for p in mine}


def owner_of(obj: Obj) -> Obj:
    """Return a reference to the owner of what is made for it."""
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }


def owned(obj: Obj, owner: Obj) -> bool:
    """Say whether an object was made for another."""
    references = obj["metadata"].get("ownerReferences", [])
    return any(r["uid"] == owner["metadata"]["uid"] for r in references)


def is_ready(pod: Obj) -> bool:
    """Say whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
