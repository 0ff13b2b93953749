"""What becomes of the pods of Jobs, by what was ordered for their image; else their processes decide."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock

from relman_plugins.testing.kube.notes import note
from relman_plugins.testing.kube.resources import BY_KIND, ApiError, Obj
from relman_plugins.testing.kube.running import Container, RunningPod
from relman_plugins.testing.kube.store import Store, now

RUNS = "relman.example/runs"
"""Finalizer of a pod that is deleted, as long as something of it runs: the real API waits for the kubelet."""


class JobPods:
    """Runs them. Methods but ``log`` are called by the controllers' thread."""

    def __init__(self, store: Store, kick: Callable[[], None]) -> None:
        self.store, self._kick = store, kick
        self._running: dict[str, RunningPod] = {}
        """By uid."""
        self._lock = Lock()

    def tend(self, pod: Obj, fate: str) -> Obj | None:
        """Return the next status of a pod; None if nothing is new. ``fate`` as of `Faults.images`."""
        container = pod["spec"]["containers"][0]
        if fate == "hold":
            return None
        if fate == "pull":
            why = f'failed to pull image "{container["image"]}": manifest unknown: not found'
            note(self.store, pod, "Warning", "Failed", why)
            return _pending(container, {"waiting": {"reason": "ErrImagePull", "message": why}})
        if fate == "shell":
            why = 'exec: "sh": executable file not found in $PATH'
            return _pending(container, {"waiting": {"reason": "PodInitializing"}}) | {
                "initContainerStatuses": [
                    {"name": c["name"], "state": {"waiting": {"reason": "RunContainerError", "message": why}}}
                    for c in pod["spec"].get("initContainers") or []
                ]
            }
        if fate == "oom":
            killed = {"exitCode": 137, "reason": "OOMKilled", "startedAt": now(), "finishedAt": now()}
            return _over(container, "Failed", killed)
        return self._status(pod, container)

    def delete(self, pod: Obj) -> None:
        """Delete a pod: what runs in it is told to end, and the pod goes when it has. Nothing is killed."""
        meta = pod["metadata"]
        running = self._running.get(meta["uid"])
        marked = "deletionTimestamp" in meta
        if running is None or running.over:
            if marked:
                released = pod | {"metadata": meta | {"finalizers": []}}
                self.store.put(BY_KIND["Pod"], released, expected=meta["resourceVersion"])
            else:
                self.store.remove(BY_KIND["Pod"], meta["namespace"], meta["name"])
        elif not marked:
            grace = timedelta(seconds=pod["spec"].get("terminationGracePeriodSeconds", 30))
            killed = (datetime.now(UTC) + grace).strftime("%Y-%m-%dT%H:%M:%SZ")
            leaving = pod | {"metadata": meta | {"finalizers": [RUNS], "deletionTimestamp": killed}}
            self.store.put(BY_KIND["Pod"], leaving, expected=meta["resourceVersion"])
            running.terminate()

    def forget(self) -> None:
        """End the processes of pods that are gone."""
        there = {p["metadata"]["uid"] for p in self.store.all("Pod")}
        for uid in [u for u in self._running if u not in there]:
            with self._lock:
                running = self._running.pop(uid)
            running.kill()

    def stop(self) -> None:
        """End all."""
        with self._lock:
            left, self._running = list(self._running.values()), {}
        for running in left:
            running.kill()

    def log(self, pod: Obj, query: dict[str, str]) -> bytes:
        """Return the log of a container; raise ApiError."""
        name, limit = query.get("container", ""), int(query.get("limitBytes") or 1 << 30)
        with self._lock:
            running = self._running.get(pod["metadata"]["uid"])
        container = running.containers.get(name) if running else None
        if container is None:
            said = f'container "{name}" in pod "{pod["metadata"]["name"]}" is waiting to start'
            raise ApiError(400, "BadRequest", said)
        return container.text(query).encode()[:limit]

    def _status(self, pod: Obj, spec: Obj) -> Obj | None:
        uid = pod["metadata"]["uid"]
        running = self._running.get(uid)
        if running is None:
            running = RunningPod(pod, self._kick)
            with self._lock:
                self._running[uid] = running
            running.start()
            return None
        if running.over and running.failed:
            return _over(spec, "Failed", {"exitCode": 128, "reason": "StartError", "message": running.failed})
        ordinary = [running.containers.get(c["name"]) for c in pod["spec"]["containers"]]
        begun = [c for c in ordinary if c is not None]
        if len(begun) < len(ordinary):
            return None
        failed = any(c.process.returncode for c in begun)
        phase = "Running" if not running.over else "Failed" if failed else "Succeeded"
        return {
            "phase": phase,
            "containerStatuses": [{"name": c.spec["name"], "state": _state(c)} for c in begun],
        }


def _state(container: Container) -> Obj:
    if not container.finished:
        return {"running": {"startedAt": container.started}}
    done = {"startedAt": container.started, "finishedAt": container.finished}
    code = container.process.returncode
    if code:
        # As a shell says it of a signal.
        return {"terminated": done | {"exitCode": code if code > 0 else 128 - code, "reason": "Error"}}
    return {"terminated": done | {"exitCode": 0, "reason": "Completed"}}


def _pending(container: Obj, state: Obj) -> Obj:
    return {"phase": "Pending", "containerStatuses": [{"name": container["name"], "state": state}]}


def _over(container: Obj, phase: str, terminated: Obj) -> Obj:
    state = {"terminated": terminated}
    return {"phase": phase, "containerStatuses": [{"name": container["name"], "state": state}]}
