"""The page on ways round a gate names tests that are there."""

from __future__ import annotations

import ast
import re

from tests.repo import tree

_PAGE = tree.ROOT / "docs" / "explanation" / "ways-round-a-gate.md"


def test_every_way_round_a_gate_has_its_test() -> None:
    lines = _PAGE.read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.endswith("| test |")]
    assert len(rows) >= 12
    for row in rows:
        named = re.search(r"`(tests/[\w/]+\.py)::(\w+)` \|$", row)
        assert named, f"this row names no test: {row}"
        body = ast.parse((tree.ROOT / named[1]).read_text()).body
        assert named[2] in {f.name for f in body if isinstance(f, ast.FunctionDef)}, row


def test_every_attack_is_on_the_page() -> None:
    tried = ast.parse((tree.ROOT / "tests" / "system" / "test_attacks.py").read_text()).body
    names = [f.name for f in tried if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")]
    assert [n for n in names if f"test_attacks.py::{n}`" not in _PAGE.read_text()] == []
