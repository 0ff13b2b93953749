"""Suites as Jobs in a namespace: started once, looked at, read, removed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from relman_plugins.domain.suite_job import JobLook, SuiteJob, mark_of
from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.platforms.kubernetes.api import Kube, Moved
from relman_plugins.platforms.kubernetes.handed_over import LONGEST, unpack
from relman_plugins.platforms.kubernetes.job_end import look_of, over_by
from relman_plugins.platforms.kubernetes.job_object import (
    COLLECTOR,
    JOB,
    RELEASE,
    STEP,
    STOPPED,
    SUITE,
    job_object,
)
from relman_plugins.platforms.kubernetes.log_lines import LOG_BYTES, LONGEST_LINE, new_lines
from relman_plugins.platforms.kubernetes.objects import MANAGER, Obj

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

LOOK_S = 30.0
"""Seconds that all requests of one call may take."""

TAIL_LINES = 40


class KubernetesJobs:
    """See `Jobs`. Safe in threads; remembers nothing."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        """Keep where; nothing is asked."""
        self._client, self._namespace = client, namespace

    def start(self, job: SuiteJob) -> None:
        """Start a Job; see `Jobs.start`."""
        kube, path = self._kube(), self._path(job.name)
        made = job_object(job, self._namespace)
        while True:
            live = kube.get(path)
            if live is not None:
                _ours(live)
                return
            try:
                kube.apply(path, made, None)
            except Moved:
                # Somebody else made it, or the answer was lost: it is looked again.
                continue
            return

    def look(self, name: str, timeout_s: float) -> JobLook | None:
        """Say how a Job is; see `Jobs.look`."""
        kube = self._kube()
        job = kube.get(self._path(name))
        if job is None or "deletionTimestamp" in job["metadata"]:
            return None
        _ours(job)
        pods = self._pods(kube, name)
        seen = look_of(job, pods, (), timeout_s, datetime.now(UTC))
        if seen.ended:
            return seen.model_copy(update={"tail": self._tail(kube, pods)})
        if not _has_started(pods):
            # Only here are they wanted: a namespace may have thousands.
            seen = look_of(job, pods, self._events(kube, job, pods), timeout_s, datetime.now(UTC))
        return seen

    def log(self, name: str, after: str) -> tuple[list[str], str]:
        """Return new lines of the log; see `Jobs.log`. ``after`` is a time, or empty for all."""
        kube = self._kube()
        pods = self._pods(kube, name)
        query = {"container": SUITE, "timestamps": "true", "limitBytes": str(LOG_BYTES)}
        # The API knows no parts of a second; what is not new is left out here.
        query |= {"sinceTime": f"{after[:19]}Z"} if after else {}
        text = kube.text(self._log_path(pods[0]), query, LOG_BYTES) if pods else None
        return new_lines(text or "", after)

    def stop(self, name: str, why: str) -> None:
        """End a Job, see `Jobs.stop`: its pod gets its time to end; the Job stays, and says why."""
        kube, path = self._kube(), self._path(name)
        while True:
            live = kube.get(path)
            if live is None or STOPPED in (live["metadata"].get("annotations") or {}):
                return
            _ours(live)
            if over_by(live) is not None:
                # It has ended since it was looked at: its result stays.
                return
            try:
                kube.merge(
                    path, live, {"metadata": {"annotations": {STOPPED: why}}, "spec": {"suspend": True}}
                )
            except Moved:
                continue
            return

    def reports(self, job: SuiteJob, into: Path) -> str:
        """Write the reports of a Job into a folder; see `Jobs.reports`."""
        kube = self._kube()
        pods = self._pods(kube, job.name)
        query = {"container": COLLECTOR, "limitBytes": str(LONGEST)}
        text = kube.text(self._log_path(pods[0]), query, LONGEST) if pods else None
        if text is None:
            return "its pod is gone, and its reports with it"
        return unpack(text, job.files, into)

    def remove(self, release_id: str, step: str = "") -> int:
        """Remove Jobs; see `Jobs.remove`."""
        kube = self._kube()
        label = f"{STEP}={mark_of(release_id, step)}" if step else f"{RELEASE}={mark_of(release_id)}"
        removed = 0
        while True:
            found, _ = kube.list(self._path(), f"app.kubernetes.io/managed-by={MANAGER},{label}")
            left = [job for job in found if "deletionTimestamp" not in job["metadata"]]
            if not left:
                return removed
            for job in left:
                try:
                    kube.delete(self._path(job["metadata"]["name"]), job)
                except Moved:
                    continue
                removed += 1

    def _kube(self) -> Kube:
        return Kube(self._client, LOOK_S)

    def _path(self, name: str = "") -> str:
        root = f"/apis/batch/v1/namespaces/{self._namespace}/jobs"
        return f"{root}/{name}" if name else root

    def _log_path(self, pod: Obj) -> str:
        return f"/api/v1/namespaces/{self._namespace}/pods/{pod['metadata']['name']}/log"

    def _pods(self, kube: Kube, name: str) -> list[Obj]:
        """Return the pods of a Job, the one that has ended first: the cluster may have made two."""
        found, _ = kube.list(f"/api/v1/namespaces/{self._namespace}/pods", f"{JOB}={name}")
        ended = ("Succeeded", "Failed")
        return sorted(found, key=lambda p: (p.get("status") or {}).get("phase") not in ended)

    def _events(self, kube: Kube, job: Obj, pods: list[Obj]) -> list[Obj]:
        about = {str(o["metadata"].get("uid")) for o in (job, *pods)}
        found, _ = kube.list(f"/api/v1/namespaces/{self._namespace}/events", "")
        return [e for e in found if str((e.get("involvedObject") or {}).get("uid")) in about]

    def _tail(self, kube: Kube, pods: list[Obj]) -> str:
        query = {"container": SUITE, "tailLines": str(TAIL_LINES), "limitBytes": str(LOG_BYTES)}
        try:
            text = kube.text(self._log_path(pods[0]), query, LOG_BYTES) if pods else ""
        except (PlatformUnavailable, PlatformRejected) as error:
            return f"(its log can't be read: {error})"
        return "\n".join(line[:LONGEST_LINE] for line in (text or "").splitlines())


def _ours(job: Obj) -> None:
    if (job["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") != MANAGER:
        name = job["metadata"]["name"]
        raise PlatformRejected(
            f"Job {name} is there and not relman's: somebody else made it; remove it, and clear the step"
        )


def _has_started(pods: list[Obj]) -> bool:
    states = [
        c.get("state") or {} for p in pods for c in (p.get("status") or {}).get("containerStatuses") or []
    ]
    return any("running" in s or "terminated" in s for s in states)
