"""Why a pod of a suite ended, in words: pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from relman_plugins.domain.suite_job import JobLook
from relman_plugins.platforms.kubernetes.job_object import COLLECTOR, GRACE_S, START_S, STOPPED, SUITE
from relman_plugins.platforms.kubernetes.objects import Obj
from relman_plugins.platforms.kubernetes.troubles import of_pods, short

UNKNOWN = 255
"""Exit code of a command of which the cluster does not say how it ended."""

_ENDED = ("Succeeded", "Failed")


def look_of(job: Obj, pods: Sequence[Obj], events: Sequence[Obj], timeout_s: float, now: datetime) -> JobLook:
    """Return what a Job with its pods looks like; of one that has ended without the last lines of its log.

    Args:
        job: as the cluster has it.
        pods: its pods.
        events: about the Job and its pods.
        timeout_s: how long the command may run.
        now: when this is asked.
    """
    stopped = (job["metadata"].get("annotations") or {}).get(STOPPED)
    alive = [p["metadata"]["name"] for p in pods if _is_alive(p, now)]
    if stopped:
        if alive:
            # What follows would run beside it.
            return JobLook(said=short(f"is stopped ({stopped}); pod {alive[0]} has not ended yet"))
        return JobLook(ended=True, code=UNKNOWN, stopped=str(stopped))
    ended = next((p for p in pods if _phase(p) in _ENDED), None)
    if ended is not None:
        return _ended(ended, timeout_s)
    over = over_by(job)
    if over is not None and alive:
        return JobLook(said=short(f"has ended ({over.get('reason')}); pod {alive[0]} has not yet"))
    if over is not None:
        if over.get("reason") == "DeadlineExceeded":
            why = f"took longer than {timeout_s:g} s and was stopped by the cluster"
        else:
            why = (
                f"its pod is gone, and its reports with it ({over.get('reason')}: {over.get('message', '')})"
            )
        return JobLook(ended=True, code=UNKNOWN, stopped=short(why))
    return _going(job, pods, events, timeout_s, now)


def _is_alive(pod: Obj, now: datetime) -> bool:
    """Say whether a pod may still run something.

    The time of a pod's deletion is when it is killed; one that is there long after that has lost its node,
    which may never tell.
    """
    killed = _time(pod["metadata"].get("deletionTimestamp"))
    return _phase(pod) not in _ENDED and (killed is None or now - killed <= timedelta(seconds=GRACE_S))


def over_by(job: Obj) -> Obj | None:
    """Return the condition by which a Job has ended; None if it has not."""
    conditions = (job.get("status") or {}).get("conditions") or []
    over = ("Complete", "Failed")
    return next((c for c in conditions if c.get("status") == "True" and c.get("type") in over), None)


def _going(job: Obj, pods: Sequence[Obj], events: Sequence[Obj], timeout_s: float, now: datetime) -> JobLook:
    states = [_state(p, SUITE) for p in pods]
    running = next((s["running"] for s in states if "running" in s), None)
    if running is not None:
        since = _time(running.get("startedAt"))
        if since is not None and now - since > timedelta(seconds=timeout_s):
            why = f"took longer than {timeout_s:g} s and was stopped"
            return JobLook(said=why, hopeless=True)
        return JobLook()
    done = next((s["terminated"] for s in states if "terminated" in s), None)
    if done is not None:
        return _handing_over(pods, done, now)
    found = of_pods(pods, events)
    said = "; ".join(t.text for t in found)
    hint = _hint(pods)
    fatal = any(t.fatal for t in found) or bool(hint)
    made = _time(job["metadata"].get("creationTimestamp"))
    late = made is not None and now - made > timedelta(seconds=START_S)
    if fatal:
        return JobLook(said=f"its pod does not start: {said}{hint}", hopeless=True)
    if late:
        return JobLook(
            said=f"its pod has not started within {START_S} s: {said or 'no reason is told'}", hopeless=True
        )
    return JobLook(said=said)


def _handing_over(pods: Sequence[Obj], done: Obj, now: datetime) -> JobLook:
    """Say how a pod is whose command has ended, and which has not: the collector has its time."""
    over = _time(done.get("finishedAt"))
    if over is None or now - over <= timedelta(seconds=2 * GRACE_S):
        return JobLook()
    ordinary, sidecars = (
        ", ".join(
            str(c.get("name"))
            for p in pods
            for c in (p.get("status") or {}).get(kind) or []
            if "running" in (c.get("state") or {})
        )
        for kind in ("containerStatuses", "initContainerStatuses")
    )
    if ordinary:
        # As long as one does, the cluster ends no sidecar, so there are no reports.
        what = "only native sidecars may be beside it, see docs/how-to/kubernetes.md"
        why = f"container {ordinary} runs on: {what}"
    else:
        why = f"container {sidecars} runs on" if sidecars else "its pod does not end"
    return JobLook(said=f"the command ended, but {why}", hopeless=True)


def _hint(pods: Sequence[Obj]) -> str:
    """Say what to do about a collector without a shell; empty when that is not the matter."""
    for pod in pods:
        state = _state(pod, COLLECTOR)
        for part in (*state.values(), *(_status(pod, COLLECTOR).get("lastState") or {}).values()):
            if "executable file not found" in str((part or {}).get("message") or ""):
                return "; the image has no shell to hand the reports over: give pod: a collector: that has"
    return ""


def _ended(pod: Obj, timeout_s: float) -> JobLook:
    status = pod.get("status") or {}
    done = _state(pod, SUITE).get("terminated") or {}
    code = int(done.get("exitCode", UNKNOWN))
    began, over = _time(done.get("startedAt")), _time(done.get("finishedAt"))
    seconds = max(0.0, (over - began).total_seconds()) if began and over else 0.0
    return JobLook(ended=True, code=code, seconds=seconds, stopped=short(_why(pod, status, done, timeout_s)))


def _why(pod: Obj, status: Obj, done: Obj, timeout_s: float) -> str:
    """Return why the pod did not end by itself; empty when it did."""
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "no more is told")
    if reason == "Evicted":
        return f"its pod was evicted from its node: {message}"
    if reason == "DeadlineExceeded":
        return f"took longer than {timeout_s:g} s and was stopped by the cluster"
    if done.get("reason") == "OOMKilled":
        return f"ran out of memory and was killed (OOMKilled){_allowed(pod)}"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            said = f"{condition.get('reason')}: {condition.get('message', '')}"
            return f"its pod was ended by the cluster ({said})"
    if reason:
        return f"its pod was ended by the cluster ({reason}: {message})"
    if not done:
        return "its pod has ended, and the cluster does not say how"
    if done.get("reason") in ("StartError", "ContainerCannotRun"):
        return f"could not be started: {done.get('message') or done.get('reason')}"
    return ""


def _allowed(pod: Obj) -> str:
    for container in pod["spec"].get("containers") or []:
        memory = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        if container.get("name") == SUITE and memory:
            return f"; it may use {memory}, see pod: {{memory: …}}"
    return "; it has no limit of its own, so the node had no more"


def _phase(pod: Obj) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _status(pod: Obj, container: str) -> Obj:
    status = pod.get("status") or {}
    found = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return next((c for c in found if c.get("name") == container), {})


def _state(pod: Obj, container: str) -> Obj:
    return _status(pod, container).get("state") or {}


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC) if text else None
    except ValueError:
        return None
