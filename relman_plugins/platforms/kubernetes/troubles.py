"""What keeps pods from serving, in the words of the objects themselves, and what no waiting mends: pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from relman_plugins.platforms.kubernetes.objects import Obj

FALSE_STARTS = 3
"""Starts of one container that end before the change is given up."""

NEVER = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
"""Reasons for waiting that only another manifest mends."""

NO_IMAGE = ("not found", "manifest unknown", "denied", "unauthorized", "does not exist")
"""What registries say when trying again won't help."""

MOST = 6
"""How many troubles are told."""


LONGEST = 400
"""Characters of one trouble that are told: containers choose what the cluster says of them."""


class Trouble(NamedTuple):
    """One thing that is wrong."""

    text: str
    fatal: bool
    """Whether waiting won't mend it."""


def troubles(deployment: Obj, pods: Sequence[Obj], events: Sequence[Obj]) -> tuple[Trouble, ...]:
    """Return what is wrong with a Deployment and its pods, each said once, the fatal first."""
    return _told([*_of_deployment(deployment), *(t for p in pods for t in _of_pod(p)), *_of_events(events)])


def of_pods(pods: Sequence[Obj], events: Sequence[Obj]) -> tuple[Trouble, ...]:
    """Return what is wrong with pods that belong to no Deployment, the fatal first."""
    return _told([*(t for p in pods for t in _of_pod(p)), *_of_events(events)])


def _told(found: Sequence[Trouble]) -> tuple[Trouble, ...]:
    unique = {t.text: Trouble(short(t.text), t.fatal) for t in sorted(found, key=lambda t: t.fatal)}
    return tuple(sorted(unique.values(), key=lambda t: not t.fatal)[:MOST])


def short(text: str) -> str:
    """Return a text of the cluster for a message: one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def is_leaving(obj: Obj) -> bool:
    """Say whether an object is being deleted: it is there until its finalizers have let it go."""
    return "deletionTimestamp" in obj["metadata"]


def leaving(what: str, obj: Obj) -> str:
    """Return what an object that is being deleted waits for, in words, and who can end that."""
    meta = obj["metadata"]
    held = ", ".join(meta.get("finalizers") or []) or "none any more"
    return (
        f"{what} is being deleted since {meta['deletionTimestamp']}, and goes when its finalizers are gone: "
        f"{held}. Whoever has put them there must do their part"
    )


def is_ready(pod: Obj) -> bool:
    """Say whether a pod gets requests."""
    conditions = pod.get("status", {}).get("conditions") or []
    return not is_leaving(pod) and any(
        c.get("type") == "Ready" and c.get("status") == "True" for c in conditions
    )


def _of_deployment(deployment: Obj) -> Iterator[Trouble]:
    name = f"{deployment['kind']} {deployment['metadata']['name']}"
    status = deployment.get("status") or {}
    if status.get("observedGeneration") != deployment["metadata"].get("generation"):
        return  # what is said there is about what was asked for before
    for condition in status.get("conditions") or []:
        said = f"{condition.get('reason')}: {condition.get('message')}"
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            yield Trouble(f"{name}: {said}", fatal=False)
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            yield Trouble(f"{name}: {said}", fatal=True)


def _of_pod(pod: Obj) -> Iterator[Trouble]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield Trouble(f"pod {name} finds no node: {condition.get('message', '')}", fatal=False)
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        yield from _of_container(name, container)


def _of_container(pod: str, container: Obj) -> Iterator[Trouble]:
    where = f"pod {pod}, container {container.get('name')}"
    last = (container.get("lastState") or {}).get("terminated") or {}
    ended = ""
    if last.get("reason") == "OOMKilled":
        ended = " (ran out of memory: OOMKilled)"
    elif last:
        ended = f" (last exit code {last.get('exitCode')})"
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if reason in ("", "ContainerCreating", "PodInitializing"):
        return
    restarts = int(container.get("restartCount") or 0)
    fatal = (
        reason in NEVER
        or (reason == "CrashLoopBackOff" and restarts >= FALSE_STARTS)
        or ("ImagePull" in reason and any(word in message.lower() for word in NO_IMAGE))
    )
    times = f", started {restarts + 1} times" if restarts else ""
    yield Trouble(f"{where}: {reason}{ended}{times}: {message}", fatal)


def _of_events(events: Sequence[Obj]) -> Iterator[Trouble]:
    for event in events:
        if event.get("type") == "Warning":
            about = event.get("involvedObject") or {}
            said = f"{event.get('reason')}: {event.get('message')}"
            yield Trouble(f"{about.get('kind')} {about.get('name')}: {said}", fatal=False)
