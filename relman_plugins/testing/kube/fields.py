"""Server-side apply: who owns which field, what an apply changes, and when it is refused.

After *Server-Side Apply* and ``structured-merge-diff``: an applier owns what it sends; what it stops sending
goes, unless somebody else owns it too; a field that another manager owns with another value is a conflict.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from relman_plugins.testing.kube.resources import ApiError, Obj

Path = tuple[str, ...]
"""A field: ``f:name`` for a key, ``k:{json}`` for an entry of a list."""

LIST_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "ports": ("containerPort", "port", "protocol"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
}
"""What tells the entries of a list apart; lists that are not here are replaced as a whole."""

KEYS = frozenset(key for keys in LIST_KEYS.values() for key in keys)

ATOMIC = frozenset({"selector", "matchLabels", "labelSelector"})
"""Mappings that are replaced as a whole."""

UNOWNED: tuple[Path, ...] = (
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata", "f:name"),
    ("f:metadata", "f:namespace"),
    ("f:metadata", "f:uid"),
    ("f:metadata", "f:resourceVersion"),
    ("f:metadata", "f:generation"),
    ("f:metadata", "f:creationTimestamp"),
    ("f:metadata", "f:deletionTimestamp"),
    ("f:metadata", "f:managedFields"),
)


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every field that an owner can have, with its value."""
    name = path[-1][2:] if path else ""
    if isinstance(value, dict) and name not in ATOMIC:
        if not value and path:
            yield path, value
        for key, inner in value.items():
            yield from leaves(inner, (*path, f"f:{key}"))
    elif isinstance(value, list) and name in LIST_KEYS and all(isinstance(v, dict) for v in value):
        for entry in value:
            yield from leaves(entry, (*path, _key(name, entry)))
    else:
        yield path, value


def owned(obj: Obj) -> dict[Path, Any]:
    """Return the fields of an object that can be owned."""
    return {p: v for p, v in leaves(obj) if not any(p[: len(u)] == u for u in UNOWNED)}


def apply(live: Obj | None, config: Obj, manager: str, *, force: bool) -> Obj:
    """Return what becomes of ``live`` when ``manager`` applies ``config``.

    Raises:
        ApiError: 409, a field is owned by somebody else who wants another value.
    """
    wanted = owned(config)
    if live is None:
        made = copy.deepcopy(config)
        made["metadata"]["managedFields"] = [_entry(manager, "Apply", config, set(wanted))]
        return made
    managers = read_managers(live)
    there = dict(leaves(live))
    conflicts: list[tuple[str, Path]] = []
    for (other, operation), fields in managers.items():
        if (other, operation) == (manager, "Apply"):
            continue
        conflicts += [(other, p) for p in wanted if p in fields and there.get(p) != wanted[p]]
    if conflicts and not force:
        raise _conflict(conflicts)
    for (other, operation), path in (((o, op), p) for o, p in conflicts for op in ("Apply", "Update")):
        managers.get((other, operation), set()).discard(path)
    result = copy.deepcopy(live)
    before = managers.get((manager, "Apply"), set())
    elsewhere = {p for key, fields in managers.items() if key != (manager, "Apply") for p in fields}
    # What tells an entry apart goes last: without it the rest of the entry is not found again.
    for path in sorted(before - set(wanted) - elsewhere, key=lambda p: (p[-1][2:] in KEYS, -len(p))):
        _remove(result, path)
    for path, value in wanted.items():
        _set(result, path, copy.deepcopy(value))
    managers[manager, "Apply"] = set(wanted)
    _write_managers(result, managers)
    return result


def update(live: Obj | None, new: Obj, manager: str) -> Obj:
    """Return ``new`` with the fields that changed owned by ``manager``."""
    result = copy.deepcopy(new)
    managers = read_managers(live) if live else {}
    before, after = (owned(live) if live else {}), owned(new)
    changed = {p for p, v in after.items() if p not in before or before[p] != v}
    for key, fields in managers.items():
        fields -= {p for p in fields if p not in after}
        if key != (manager, "Update"):
            fields -= changed
    if changed:
        managers.setdefault((manager, "Update"), set()).update(changed)
    _write_managers(result, managers)
    return result


def read_managers(obj: Obj) -> dict[tuple[str, str], set[Path]]:
    """Return the fields by manager and operation."""
    entries = obj["metadata"].get("managedFields", [])
    return {(e["manager"], e["operation"]): set(_paths(e["fieldsV1"])) for e in entries}


def _write_managers(obj: Obj, managers: dict[tuple[str, str], set[Path]]) -> None:
    obj["metadata"]["managedFields"] = [
        _entry(name, operation, obj, fields) for (name, operation), fields in managers.items() if fields
    ]


def _entry(manager: str, operation: str, obj: Obj, fields: set[Path]) -> Obj:
    tree: Obj = {}
    for path in sorted(fields):
        node = tree
        for part in path:
            node = node.setdefault(part, {})
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": obj["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": tree,
    }


def _paths(tree: Obj, path: Path = ()) -> Iterator[Path]:
    if not tree and path:
        yield path
    for part, inner in tree.items():
        yield from _paths(inner, (*path, part))


def _key(name: str, entry: Obj) -> str:
    keys = {k: entry[k] for k in LIST_KEYS[name] if k in entry}
    if name == "ports":
        keys.setdefault("protocol", "TCP")
        # A Service tells its ports apart by port, a container by containerPort.
        if "containerPort" in keys:
            keys.pop("port", None)
    return "k:" + json.dumps(keys, sort_keys=True, separators=(",", ":"))


def _set(obj: Any, path: Path, value: Any) -> None:
    for here, following in zip(path, (*path[1:], ""), strict=True):
        if here.startswith("k:"):
            obj = _entry_of(obj, here)
        elif not following and value == {}:
            obj.setdefault(here[2:], value)  # a mapping that is there is not emptied
        elif not following:
            obj[here[2:]] = value
        else:
            obj = obj.setdefault(here[2:], [] if following.startswith("k:") else {})


def _entry_of(entries: list[Obj], key: str) -> Obj:
    for entry in entries:
        if _matches(entry, key):
            return entry
    entries.append(json.loads(key[2:]))
    return entries[-1]


def _matches(entry: Obj, key: str) -> bool:
    return all(entry.get(k, "TCP" if k == "protocol" else None) == v for k, v in json.loads(key[2:]).items())


def _remove(obj: Any, path: Path) -> None:
    """Take a field away, and what is empty without it."""
    trail: list[tuple[Any, Any]] = []
    for part in path:
        if part.startswith("k:"):
            key: Any = next((i for i, e in enumerate(obj) if _matches(e, part)), None)
            if key is None:
                return
        else:
            key = part[2:]
            if not isinstance(obj, dict) or key not in obj:
                return
        trail.append((obj, key))
        obj = obj[key]
    for holder, key in reversed(trail):
        if holder[key] and holder is not trail[-1][0] and not _only_keys(holder[key]):
            return
        del holder[key]


def _only_keys(value: Any) -> bool:
    """Say whether nothing is left of an entry of a list but what told it apart."""
    return isinstance(value, dict) and set(value) <= KEYS


def _conflict(conflicts: list[tuple[str, Path]]) -> ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{manager}"',
            "field": "." + ".".join(p[2:] for p in path),
        }
        for manager, path in conflicts
    ]
    said = ", ".join(sorted({f'"{manager}"' for manager, _ in conflicts}))
    count = f"{len(causes)} conflict{'s' if len(causes) > 1 else ''}"
    return ApiError(
        409,
        "Conflict",
        f"Apply failed with {count}: conflicts with {said}: " + ", ".join(c["field"] for c in causes),
        causes,
    )
