"""The reference names everything there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Decision, Outcome
from relman_plugins.provider_info import get_provider_info
from relman_plugins.spec.schema import json_schema
from tests.repo import generated, tree

_REFERENCE = tree.ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (_REFERENCE / f"{name}.md").read_text()


def test_every_key_of_the_spec_is_explained() -> None:
    # The names that people give themselves (suites, analyses, groups) are not keys of the format.
    keys = {key for model in json_schema()["$defs"].values() for key in _properties(model)}
    text = page("spec")
    missing = {key for key in keys if not re.search(rf"`(?:[\w.]+\.)?{re.escape(key)}`", text)}
    assert {key for key in missing if f"{key}:" not in text} == set()


def test_every_diagnostic_is_explained() -> None:
    used = {
        code
        for path in (tree.ROOT / "relman_plugins" / "spec").rglob("*.py")
        for code in re.findall(r"\bRM\d{3}\b", path.read_text())
    }
    assert set(re.findall(r"^\| (RM\d{3}) ", page("diagnostics"), re.MULTILINE)) == used


@pytest.mark.parametrize("path", generated.pages(), ids=lambda path: path.name)
def test_what_is_made_from_the_code_is_as_the_code_is(path: Path) -> None:
    wanted = generated.pages()[path]
    if os.environ.get("RELMAN_UPDATE_GOLDEN") == "1":
        path.write_text(wanted)
    assert path.read_text() == wanted, "the code has changed: scripts/reference writes the page anew"


def test_every_document_for_programs_is_described() -> None:
    table = page("cli").partition("## Data for programs")[2].partition("\n## ")[0]
    forms = [name for name, c in generated.commands() if any("--format" in p.opts for p in c.params)]
    assert [n for n in forms if f"`{n.removesuffix(' file')}`" not in table] == []


def test_every_kind_of_event_is_listed() -> None:
    text = page("events")
    assert [kind.value for kind in Kind if f"`{kind.value}`" not in text] == []


def test_every_setting_is_listed() -> None:
    options = get_provider_info()["config"]["relman"]["options"]
    assert [name for name in options if f"| `{name}` |" not in page("settings")] == []


def test_every_span_and_every_metric_is_listed() -> None:
    code = "".join(p.read_text() for p in (tree.ROOT / "relman_plugins").rglob("*.py"))
    spans = set(re.findall(r'telemetry\.span\(\s*"([\w.]+)"', code))
    numbers = set(re.findall(r'telemetry\.(?:count|took|level)\("([\w.]+)"', code))
    numbers |= set(re.findall(r'_since\(.*, event, "([\w.]+)"', code))
    numbers |= {f"release.{outcome.value}" for outcome in Outcome}
    numbers |= {f"vote.{decision.value}" for decision in Decision}
    trace = (tree.ROOT / "docs" / "how-to" / "trace.md").read_text()
    assert {name for name in spans if f"`relman.{name}`" not in trace} == set()
    assert set(re.findall(r"`relman\.([\w.]+)`", page("metrics").partition("Alarms")[0])) == numbers


def test_every_command_is_listed() -> None:
    command = [sys.executable, "-m", "relman_plugins.cli", "--help"]
    shown = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z]+)  ", shown.partition("Commands:")[2], re.MULTILINE)
    assert commands
    assert [name for name in commands if f"`relman {name}" not in page("cli")] == []


def test_every_room_is_in_the_architecture_and_in_the_linter() -> None:
    package = tree.ROOT / "relman_plugins"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    contracts = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    linted = {room for row in contracts[0]["layers"] for room in row.split(" | ")}
    assert linted == rooms
    text = (tree.ROOT / "docs" / "architecture.md").read_text()
    assert [room for room in rooms if f"`{room}`" not in text] == []


def test_the_rows_of_the_architecture_are_those_of_the_linter() -> None:
    contracts = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [set(row.split(" | ")) for row in reversed(contracts[0]["layers"])]
    text = (tree.ROOT / "docs" / "architecture.md").read_text().partition("## Rooms")[2].partition("\n## ")[0]
    rows = re.split(r"^\*\*Row \d+", text, flags=re.MULTILINE)[1:]
    rooms = set().union(*layers)
    told = [[room for room in re.findall(r"`(\w+)`", row) if room in rooms] for row in rows]
    assert [set(row) for row in told] == layers


@pytest.mark.parametrize("path", sorted((tree.ROOT / "docs").rglob("*.md")), ids=tree.name)
def test_every_page_is_linked_from_the_index(path: Path) -> None:
    index = tree.ROOT / "docs" / "README.md"
    assert path == index or path.relative_to(index.parent).as_posix() in index.read_text()


def _properties(model: dict[str, Any]) -> set[str]:
    return set(model.get("properties", {}))
