"""The Makefile, the set-up and the commands in the documentation."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import missing
from tests.repo import markdown, tree

_PAGES = tree.texts(".md")
_MAKE = (tree.ROOT / "Makefile").read_text()
_TARGETS = set(re.findall(r"^([a-z]+):", _MAKE, re.MULTILINE))
_COMMANDS = [b for page in _PAGES for b in markdown.blocks(page) if b.is_shell]
_RUN = [b for b in _COMMANDS if b.words[:1] == ["run"] and not {"server", "postgres"} & set(b.words)]
_SPECS = [b for page in _PAGES for b in markdown.blocks(page) if b.words[:1] == ["spec"]]
_ENV = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(tree.ROOT),
    "COLUMNS": "100",
    "NO_COLOR": "1",
}


@pytest.mark.parametrize("target", sorted(_TARGETS))
def test_every_target_can_be_made(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=tree.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make"], cwd=tree.ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make (\w+)", listed, re.MULTILINE)) == _TARGETS


def test_scripts_can_be_executed_and_are_valid_shell() -> None:
    for path in (tree.ROOT / ".ci" / "run", *(tree.ROOT / "scripts").iterdir()):
        assert path.stat().st_mode & stat.S_IXUSR, path
        subprocess.run(["bash", "-n", path], check=True)


def test_set_up_says_what_to_do_when_there_is_no_python_that_fits(tmp_path: Path) -> None:
    old = tmp_path / "bin" / "python3"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for program in ("bash", "dirname", "env"):
        (old.parent / program).symlink_to(f"/usr/bin/{program}")
    done = subprocess.run(
        [tree.ROOT / "scripts" / "setup"],
        env={"PATH": str(old.parent), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "no Python 3.11, 3.12 or 3.13" in done.stderr
    assert "Found: Python 3.9.2" in done.stderr
    assert "RELMAN_PYTHON=" in done.stderr


@pytest.mark.parametrize("block", _COMMANDS, ids=lambda b: b.place)
def test_every_command_in_the_documentation_exists(block: markdown.Block) -> None:
    for line in block.text.splitlines():
        words = line.removeprefix("$ ").split()
        if words[:1] == ["make"]:
            unknown = [w for w in words[1:] if "=" not in w and w not in _TARGETS]
            assert not unknown, f"{block.place}: make has no target {unknown}"
        if words[:1] == ["relman"] and len(words) > 1 and not words[1].startswith("-"):
            assert words[1] in _relman_commands(), f"{block.place}: relman has no command {words[1]!r}"


@pytest.mark.parametrize("block", _RUN, ids=lambda b: b.place)
def test_commands_that_are_marked_do_what_the_page_says(block: markdown.Block, tmp_path: Path) -> None:
    if "kustomize" in block.words and not (shutil.which("kubectl") or shutil.which("kustomize")):
        missing("kubectl", "apt-get install kubectl")
    wanted = re.search(r"exit=(\d+)", block.mark)
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(block.commands)],
        cwd=markdown.workplace(block, tmp_path),
        env=_ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (int(wanted[1]) if wanted else 0), done.stdout + done.stderr
    if (after := _block_after(block)) and after.mark == "prints":
        assert (done.stdout + done.stderr).strip() == after.text.strip()


def test_the_documentation_has_commands_that_are_run() -> None:
    assert _RUN


@pytest.mark.parametrize("block", _SPECS, ids=lambda b: b.place)
def test_specs_in_the_documentation_are_valid(block: markdown.Block, tmp_path: Path) -> None:
    specs = markdown.workplace(block, tmp_path) / "release_specs"
    name = _written(block, specs)
    done = subprocess.run(
        [sys.executable, "-m", "relman_plugins.cli", "validate", specs / f"{name}.yaml"],
        cwd=tree.ROOT,
        env=_ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _written(block: markdown.Block, specs: Path) -> str:
    """Write what a block shows to where it belongs; return the pipeline in which it counts."""
    if block.mark == "spec":
        name = markdown.name_of(block)
        (specs / f"{name}.yaml").write_text(block.text)
        return name
    if block.mark == "spec manifests":
        assert list(yaml.safe_load_all(block.text))  # checked with the environment that names them
        return "checkout"
    if block.mark == "spec route":
        shown = {b.mark: b for b in markdown.blocks(block.page)}
        others = [o for o in yaml.safe_load_all(shown["spec manifests"].text) if o["kind"] != "HTTPRoute"]
        (specs / "manifests").mkdir(exist_ok=True)
        (specs / "manifests" / "checkout.yaml").write_text(
            yaml.safe_dump_all([*others, yaml.safe_load(block.text)])
        )
        return _written(shown["spec environment kept"], specs)
    base, part = yaml.safe_load((specs / "checkout.yaml").read_text()), yaml.safe_load(block.text)
    # What starts by itself can't have what somebody has to be asked for: tickets, fields without a default.
    base.pop("schedule")
    match block.words[1]:
        case "environment":
            (specs / "environments" / f"{markdown.name_of(block)}.yaml").write_text(block.text)
            base["stages"].insert(0, {"environment": markdown.name_of(block), "name": "shown"})
        case "people":
            (specs / "people.yaml").write_text(block.text)
        case "policy":
            (specs / "policies" / f"{markdown.name_of(block)}.yaml").write_text(block.text)
            base["extends"] = [markdown.name_of(block)]
        case "calendar":
            folder = specs / "calendars"
            folder.mkdir(exist_ok=True)
            (folder / f"{markdown.name_of(block)}.yaml").write_text(block.text)
            shutil.copy(tree.ROOT / "examples/calendars/inventory.ics", folder)
            base["stages"][-1]["calendars"] = [markdown.name_of(block)]
        case "part":
            analyses = base["analyses"] | part.get("analyses", {})  # a page shows one of them
            base |= part | {"analyses": analyses}
        case "stage":
            base["stages"][-1] |= part
        case other:
            raise AssertionError(f"{block.place}: nobody knows what <!-- spec {other} --> is")
    (specs / "checkout.yaml").write_text(yaml.safe_dump(base))
    return "checkout"


def _block_after(block: markdown.Block) -> markdown.Block | None:
    of_page = markdown.blocks(block.page)
    index = of_page.index(block) + 1
    return of_page[index] if index < len(of_page) else None


def _relman_commands() -> set[str]:
    command = [sys.executable, "-m", "relman_plugins.cli", "--help"]
    shown = subprocess.run(
        command, cwd=tree.ROOT, env=_ENV, capture_output=True, text=True, check=True
    ).stdout
    return set(re.findall(r"^[│ ]*\s*([a-z]+)\s", shown.partition("Commands")[2], re.MULTILINE))
