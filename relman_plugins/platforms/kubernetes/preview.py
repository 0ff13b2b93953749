"""What a version would change in the cluster: each object dry-run by the API server, beside what is there.

Nothing is changed and no token is taken, so anybody may look at any time, and what is said is of that moment.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from relman_plugins.domain.state import DesiredState
from relman_plugins.errors import PlatformRejected
from relman_plugins.plan.manifests import leaves
from relman_plugins.platforms.kubernetes.api import Kube, Moved
from relman_plugins.platforms.kubernetes.objects import (
    REVISION,
    SLOT,
    VERSION_LABEL,
    Obj,
    Objects,
)
from relman_plugins.platforms.kubernetes.records import Records
from relman_plugins.platforms.kubernetes.routers import ROUTERS, router_of
from relman_plugins.platforms.kubernetes.routers.base import Split
from relman_plugins.platforms.kubernetes.seen import RELMANS_OWN, Seen
from relman_plugins.platforms.kubernetes.slots import slots_for

LONGEST = 120
"""Characters of a value that are shown."""

PARTS = ("spec", "data", "binaryData")
"""What is compared of an object: all else are names and notes."""

HIDDEN = "(set by somebody else)"
"""Instead of a value in the cluster that no manifest has: it may be a secret."""

FILLED_IN = "(set by the cluster)"
"""Instead of a value that the API server, or a webhook of it, puts in: that may be a secret too."""

NONE = "none"


def preview(kube: Kube, objects: Objects, desired: DesiredState) -> Iterator[str]:
    """Yield a line for each field that a promoted version changes, and for each object that is refused.

    Args:
        kube: makes the requests.
        objects: what the new version is made from.
        desired: its end: a stable revision and nothing else.

    Raises:
        PlatformError: as `Platform.observe`.
    """
    if desired.stable is None:
        return
    seen = Seen.look(kube, objects, Records(kube, objects))
    yield from (f"! {text}" for text in (seen.blind, seen.roles.strange) if text)
    slot = slots_for(desired, seen, objects).stable
    live = seen.deployments.get(seen.roles.stable)
    old = seen.made.get(seen.roles.stable) if live is not None else None
    pods = objects.deployment(slot, desired.stable, desired.stable_replicas, desired.rolling)
    runs = seen.state().stable
    before = old.deployment(slot, runs.revision, runs.replicas) if old and runs else {}
    yield from _one(kube, objects, pods, before, live)
    was, others = dict(_others(old, slot)) if old else {}, dict(_others(objects, slot))
    for name, new in others.items():
        old_one = was.get(name)
        there = kube.get(objects.path(new["kind"], old_one["metadata"]["name"])) if old_one else None
        yield from _one(kube, objects, new, old_one or {}, there, name)
    yield from (f"- {name}" for name in was if name not in others)


def _others(objects: Objects, slot: str) -> Iterator[tuple[str, Obj]]:
    """Yield what a version has beside its pods, by kind and name in the manifests."""
    names = {own: name for name, own in objects.own_names().items()}
    for obj in objects.own:
        yield f"ConfigMap {names[obj['metadata']['name']]}", obj
    router = router_of(objects.workload)
    routes = router.written(Split(slot, {slot: 100}, {slot: objects})) if router is not None else []
    for obj in (objects.main_service(slot), *routes, *objects.shared):
        yield f"{obj['kind']} {obj['metadata']['name']}", obj


def _one(
    kube: Kube, objects: Objects, new: Obj, rendered: Obj, live: Obj | None, name: str = ""
) -> Iterator[str]:
    kind = new["kind"]
    name = name or f"{kind} {objects.workload.pods['metadata']['name']}"
    path = objects.path(kind, new["metadata"]["name"])
    there = kube.get(path)
    if there is not None and not objects.is_ours(there):
        yield f"! {name}: {path} is there and not relman's"
        return
    try:
        done = kube.apply(path, new, there, dry_run=True)
    except PlatformRejected as error:
        yield f"! {name}: {error}"
        return
    except Moved:
        yield f"! {name}: it changes at this moment"
        return
    if live is None:
        yield f"+ {name}"
        return
    after, before, ours, written = (_fields(kind, obj) for obj in (done, live, rendered, new))
    for field in sorted({*after, *before}, key=str):
        if after.get(field) == before.get(field):
            continue
        known = field not in before or ours.get(field) == before[field]
        left = _value(before, field) if known else HIDDEN
        mine = field not in after or written.get(field) == after[field]
        yield f"~ {name} {field}: {left} -> {_value(after, field) if mine else FILLED_IN}"


def _fields(kind: str, obj: Obj) -> dict[str, Any]:
    """Return what is compared of an object, field by field, without what relman makes of a slot."""
    made = {part: copy.deepcopy(obj[part]) for part in PARTS if part in obj}
    spec = made.get("spec") or {}
    for labels in (
        spec.get("selector") if "ports" in spec else None,
        ((spec.get("selector") or {}).get("matchLabels") if "template" in spec else None),
        ((spec.get("template") or {}).get("metadata") or {}).get("labels"),
    ):
        for label in (SLOT, REVISION, VERSION_LABEL):
            (labels or {}).pop(label, None)
    for container in ((spec.get("template") or {}).get("spec") or {}).get("containers") or []:
        kept = [e for e in container.get("env") or [] if e.get("name") not in RELMANS_OWN]
        container.pop("env", None)
        container |= {"env": kept} if kept else {}
    if kind in ROUTERS:
        ROUTERS[kind].unsplit(spec)
    return dict(leaves(made, ""))


def _value(fields: dict[str, Any], field: str) -> str:
    text = " ".join(str(fields.get(field, NONE)).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
