"""Manifests as single settings, so that two versions of them can be compared field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NAMED = ("name", "mountPath", "containerPort", "port", "type")
"""What tells the entries of a list apart, the first that all of them have."""


def flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return an environment's settings with its workload field by field: ``Deployment checkout spec.…``."""
    found = dict(environment)
    workload = found.pop("workload", None) or {}
    for name, value in workload.items():
        if name != "objects":
            found[f"kubernetes {name.removesuffix('_s')}"] = value
    for obj in workload.get("objects", ()):
        where = f"{obj['kind']} {obj['metadata']['name']}"
        found |= {f"{where} {path}": value for path, value in leaves(obj, "") if path != "kind"}
    return found


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the single settings of a value, each with its path: entries of a list by their names."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and value and all(isinstance(v, Mapping) for v in value):
        key = next((k for k in NAMED if all(k in v for v in value)), None)
        names = [str(v[key]) if key else str(i) for i, v in enumerate(value)]
        if len(set(names)) < len(names):
            names = [str(i) for i in range(len(names))]
        for name, inner in zip(names, value, strict=True):
            yield from leaves(inner, f"{path}[{name}]")
    else:
        yield path, value
