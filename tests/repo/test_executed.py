"""Every command and spec that a tutorial or guide shows is executed by a test, and every command is shown.

``tests/repo/markdown.py`` says how a block is marked, and has the short list of lines that no test can run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from relman_plugins.spec.schema import json_schema
from tests.repo import generated, markdown

_BLOCKS = [block for page in markdown.guides() for block in markdown.blocks(page)]


@pytest.mark.parametrize("block", [b for b in _BLOCKS if b.is_shell], ids=lambda b: b.place)
def test_what_a_guide_says_to_type_is_executed(block: markdown.Block) -> None:
    assert block.words[:1] == ["run"] or not block.commands, (
        f"{block.place}: no test runs this; put <!-- run --> or <!-- run server --> before it "
        "(tests/repo/markdown.py says how), or list the line in NOT_RUN there, with the reason"
    )


@pytest.mark.parametrize("block", [b for b in _BLOCKS if b.lang in ("yaml", "yml")], ids=lambda b: b.place)
def test_what_a_guide_says_to_write_is_executed(block: markdown.Block) -> None:
    assert block.words[:1] == ["spec"], (
        f"{block.place}: no test reads this; put <!-- spec -->, or <!-- spec part --> and the like, before "
        "it (tests/repo/markdown.py says which)"
    )


def test_every_command_is_in_a_guide_that_is_executed() -> None:
    run = "\n".join(line for block in _BLOCKS if block.words[:1] == ["run"] for line in block.commands)
    # A file to judge needs no word before it.
    names = [name.removesuffix(" file") for name, _ in generated.commands()]
    missing = [name for name in names if f"relman {name} " not in f"{run.replace(chr(10), ' ')} "]
    assert not missing, f"no executed block of a tutorial or guide has: {', '.join(missing)}"


def test_every_key_of_a_spec_is_in_a_guide_that_is_executed() -> None:
    keys = {key for model in json_schema()["$defs"].values() for key in model.get("properties", {})}
    shown = {
        key for b in _BLOCKS if b.words[:1] == ["spec"] for key in _keys(list(yaml.safe_load_all(b.text)))
    }
    missing = sorted(keys - shown)
    assert not missing, f"no executed spec of a tutorial or guide has: {', '.join(missing)}"


def test_what_no_test_runs_is_still_shown() -> None:
    shown = {
        line for page in markdown.guides() for b in markdown.blocks(page) for line in b.text.splitlines()
    }
    assert set(markdown.NOT_RUN) <= shown, "a line of NOT_RUN is in no guide any more: remove it"


def _keys(value: Any) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield str(key)
        yield from _keys(inner)
    for inner in value if isinstance(value, list) else ():
        yield from _keys(inner)
