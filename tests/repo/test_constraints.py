from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.repo import tree

_LINES = [
    line
    for line in (tree.ROOT / "constraints.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]


def test_every_line_is_one_exact_version_and_nothing_else() -> None:
    for line in _LINES:
        requirement = Requirement(line)
        operators = {part.operator for part in requirement.specifier}
        assert operators == {"=="}, line
        assert requirement.url is None, line


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_they_meet_what_the_project_asks_for(python: str) -> None:
    pinned = _pinned(python)
    project = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())["project"]
    asked = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    for text in asked:
        requirement = Requirement(text)
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not pinned for {python}; run scripts/constraints"
        assert requirement.specifier.contains(version, prereleases=True), f"{text} but {version} is pinned"


def _pinned(python: str) -> dict[str, Version]:
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "sys_platform": "linux",
    }
    found: dict[str, Version] = {}
    for line in _LINES:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for {python}"
            found[name] = Version(next(iter(requirement.specifier)).version)
    return found
