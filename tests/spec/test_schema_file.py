"""The committed JSON Schema: current, right about every golden spec, and found by editors.

``RELMAN_UPDATE_GOLDEN=1 pytest tests/spec/test_schema_file.py`` writes it anew.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from relman_plugins.spec.api import load_pipeline, pipeline_files
from relman_plugins.spec.parse import parse
from relman_plugins.spec.schema import schema_text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILE = ROOT / "docs" / "reference" / "release-pipeline.schema.json"
EXAMPLES = sorted((ROOT / "release_specs").rglob("*.yaml"))
STRUCTURAL = {"RM101", "RM102", "RM103", "RM104", "RM105", "RM106", "RM107"}
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")
TOGETHER = {"extends-crowd"}
"""Only with what its policy gives it has more gates than a stage may have."""


@cache
def validator() -> Draft202012Validator:
    schema = json.loads(FILE.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def value(path: Path) -> Any:
    node, found = parse(path.read_text())
    return node.value if node is not None and not found else None


def test_it_is_current() -> None:
    if os.environ.get("RELMAN_UPDATE_GOLDEN") == "1":
        FILE.write_text(schema_text())
    assert FILE.read_text() == schema_text(), "RELMAN_UPDATE_GOLDEN=1 pytest tests/spec/test_schema_file.py"


GOOD = [p for p in sorted((HERE / "ok").rglob("*.yaml")) if p.parent.name != "manifests"]


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_good_specs_satisfy_it(path: Path) -> None:
    validator().validate(value(path))


@pytest.mark.parametrize("case", [p.stem for p in pipeline_files(HERE / "err")])
def test_it_refuses_what_has_the_wrong_shape_and_nothing_else(case: str) -> None:
    path = HERE / "err" / f"{case}.yaml"
    codes = {d.code for d in load_pipeline(path).diagnostics if d.is_error and d.path == str(path)}
    if any(code.startswith("RM0") for code in codes):
        return  # no YAML that relman reads: an editor says so itself
    assert validator().is_valid(value(path)) == (not codes & STRUCTURAL or case in TOGETHER)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_the_examples_lead_editors_to_it(path: Path) -> None:
    found = MODELINE.fullmatch(path.read_text().splitlines()[0])
    assert found is not None
    assert (path.parent / found[1]).resolve() == FILE
    validator().validate(value(path))


@pytest.mark.parametrize("text", ["{}", "[]", "kind: People", "apiVersion: relman/v1\nkind: Pipeline"])
def test_a_document_says_what_it_is(text: str) -> None:
    node, _ = parse(text)
    assert node is not None
    assert not validator().is_valid(node.value)
