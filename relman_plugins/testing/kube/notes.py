"""Conditions and events: what controllers say of objects."""

from __future__ import annotations

from relman_plugins.domain.base import digest_of
from relman_plugins.testing.kube.resources import BY_KIND, Obj
from relman_plugins.testing.kube.store import Store, now


def condition(kind: str, status: str, reason: str, message: str) -> Obj:
    """Return a condition of a status."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


def note(store: Store, about: Obj, kind: str, reason: str, message: str) -> None:
    """Record an event about an object; the same again counts up."""
    meta = about["metadata"]
    name = f"{meta['name']}.{digest_of([meta['uid'], reason, message])[7:19]}"
    if store.find("Event", meta["namespace"], name):
        return
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": meta["namespace"]},
        "involvedObject": {
            "kind": about["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": now(),
        "lastTimestamp": now(),
    }
    store.put(BY_KIND["Event"], event)
