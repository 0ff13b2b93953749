from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repo import tree

CAP = 400
_CODE = (".py", ".sh", ".js", ".css", ".sql", ".html")

# Written in pieces so that this file does not find itself.
_MACHINE = re.compile(
    r"(?<![\w.])/(?:"
    + "|".join(["wo" + "rk/(?:main|shared|\\.)", "ro" + "ot/", "tmp/" + "w/", "ho" + "me/[a-z]"])
    + r")"
)
_HOSTS = re.compile(
    "|".join(["pypi" + r"\.org", "python" + r"hosted\.org", "extra-" + "index-url", "registry" + r"\.npmjs"])
)
_UNFINISHED = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|XX" + r"X)\b")


@pytest.mark.parametrize("path", tree.texts(*_CODE), ids=tree.name)
def test_no_file_of_code_is_longer_than_a_person_reads_in_one_go(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= CAP, f"{tree.name(path)} has {lines} lines, at most {CAP} are allowed: split it by job"


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of somebody's machine", _MACHINE),
        ("the host of a package index", _HOSTS),
        ("a note", _UNFINISHED),
    ],
)
def test_no_file_names(what: str, pattern: re.Pattern[str]) -> None:
    found = [
        f"{tree.name(path)}:{number}: {line.strip()[:100]}"
        for path in tree.texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, f"{what}:\n" + "\n".join(found)


def test_the_top_level_names_are_there() -> None:
    expected = ["pyproject.toml", "dags", "relman_plugins", "release_specs", "tests", "docker-compose.yaml"]
    assert [name for name in expected if not (tree.ROOT / name).exists()] == []
