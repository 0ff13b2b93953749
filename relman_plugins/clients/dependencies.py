"""What a file says a project depends on. Pure: text in, names and versions out."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from relman_plugins.domain.change_set import DependencyChange

_GO = re.compile(r"^\s*(?:require\s+)?([\w.~-]+\.[\w.~/-]+)\s+(v[\w.+-]+)", re.MULTILINE)

_UNREAD = frozenset(
    {
        "pom.xml",
        "build.gradle",
        "build.gradle.kts",
        "gradle.lockfile",
        "Gemfile",
        "Gemfile.lock",
        "composer.json",
        "composer.lock",
        "yarn.lock",
        "pnpm-lock.yaml",
        "Pipfile",
        "Pipfile.lock",
        "go.sum",
        "mix.lock",
        "Dockerfile",
    }
)
"""Files that say what a project depends on, in ways that are not read here: that they changed is told."""


def is_manifest(path: str) -> bool:
    """Say whether a file, by its name, says what a project depends on."""
    name = PurePosixPath(path).name
    return name in _UNREAD or _reader(name) is not None


def changed(path: str, before: bytes | None, after: bytes | None) -> list[DependencyChange]:
    """Return what differs between two states of a manifest, by name; ``None`` is a file that is not there.

    A file that can't be read, in either state, is one change without a name. Nothing raises.
    """
    read = _reader(PurePosixPath(path).name)
    if read is None:
        return [DependencyChange(file=path, name="")]
    try:
        one, two = (dict(read(raw.decode())) if raw else {} for raw in (before, after))
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return [DependencyChange(file=path, name="")]
    return [
        DependencyChange(file=path, name=name, before=one.get(name), after=two.get(name))
        for name in sorted({*one, *two})
        if one.get(name) != two.get(name)
    ]


Found = Iterator[tuple[str, str]]


def _reader(name: str) -> Callable[[str], Found] | None:
    if name.endswith(".txt") and name.startswith(("requirements", "constraints")):
        return _requirements
    return {
        "pyproject.toml": _pyproject,
        "poetry.lock": _packages,
        "uv.lock": _packages,
        "Cargo.lock": _packages,
        "package.json": _package_json,
        "package-lock.json": _package_lock,
        "go.mod": _go,
    }.get(name)


def _requirements(text: str) -> Found:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    for line in text.splitlines():
        said = line.split(" #")[0].strip().rstrip("\\").strip()
        if not said or said.startswith(("#", "-")):
            continue
        try:
            wanted = Requirement(said)
        except InvalidRequirement:
            continue
        version = str(wanted.specifier).removeprefix("==") or wanted.url or "any"
        yield canonicalize_name(wanted.name), version


def _pyproject(text: str) -> Found:
    project = tomllib.loads(text).get("project", {})
    groups = [project.get("dependencies", []), *project.get("optional-dependencies", {}).values()]
    yield from _requirements("\n".join(str(line) for group in groups for line in group))


def _packages(text: str) -> Found:
    for package in tomllib.loads(text).get("package", []):
        yield str(package["name"]), str(package.get("version", "any"))


def _package_json(text: str) -> Found:
    said: dict[str, Any] = json.loads(text)
    for key in ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies"):
        yield from ((str(name), str(version)) for name, version in said.get(key, {}).items())


def _package_lock(text: str) -> Found:
    for place, package in json.loads(text).get("packages", {}).items():
        if place:
            yield place.removeprefix("node_modules/"), str(package.get("version", "any"))


def _go(text: str) -> Found:
    yield from _GO.findall(text)
