"""The controller of Jobs: one pod each, and a status when it has ended. Suspended, a Job has no pod.

After *Jobs* of the Kubernetes documentation, with ``backoffLimit: 0`` and ``completions: 1`` only.
"""

from __future__ import annotations

from relman_plugins.testing.kube.kubelet import Kubelet, has_ended
from relman_plugins.testing.kube.notes import condition, note
from relman_plugins.testing.kube.resources import BY_KIND, Obj
from relman_plugins.testing.kube.stateful import owned
from relman_plugins.testing.kube.store import Store, now


class Jobs:
    """Methods are called by the controllers' thread."""

    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self.store, self.kubelet = store, kubelet

    def tend(self, job: Obj, forbidden: str | None) -> None:
        """Take the next step of one; ``forbidden`` is why no pod may be made now."""
        pods = [p for p in self.store.all("Pod", job["metadata"]["namespace"]) if owned(p, job)]
        if _over(job):
            self._end(pods)
            return
        status = job.get("status") or {}
        if job["spec"].get("suspend"):
            self._end(pods)
            self._say(job, {**status, "conditions": [condition("Suspended", "True", "JobSuspended", "")]})
        elif not pods and status.get("startTime"):
            # The only pod that it may have was deleted with its node, or by somebody.
            self._failed(job, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif not pods and forbidden:
            note(self.store, job, "Warning", "FailedCreate", f"Error creating: {forbidden}")
        elif not pods:
            self.kubelet.create(job)
            self._say(job, {"active": 1, "startTime": now()})
        elif has_ended(pods[0]):
            if pods[0]["status"]["phase"] == "Succeeded":
                complete = condition("Complete", "True", "", "")
                self._say(job, {**status, "active": 0, "succeeded": 1, "conditions": [complete]})
            else:
                self._failed(job, "BackoffLimitExceeded", "Job has reached the specified backoff limit")

    def expire(self, job: Obj) -> None:
        """Let the deadline of a Job be over: its pod is deleted."""
        self._failed(job, "DeadlineExceeded", "Job was active longer than specified deadline")

    def _end(self, pods: list[Obj]) -> None:
        for pod in pods:
            if not has_ended(pod):
                self.kubelet.job_pods.delete(pod)

    def _failed(self, job: Obj, reason: str, message: str) -> None:
        failed = condition("Failed", "True", reason, message)
        self._say(job, {**(job.get("status") or {}), "active": 0, "failed": 1, "conditions": [failed]})

    def _say(self, job: Obj, status: Obj) -> None:
        self.store.put(BY_KIND["Job"], job | {"status": status}, status=True)


def _over(job: Obj) -> bool:
    found = (job.get("status") or {}).get("conditions") or []
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in found)
