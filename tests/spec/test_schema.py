"""The JSON Schema says what the models say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from relman_plugins.spec.models import Environment, People, ReleasePipeline
from relman_plugins.spec.parse import parse
from relman_plugins.spec.schema import json_schema, keys_at

HERE = Path(__file__).parent
SPECS = HERE.parents[1] / "release_specs"
FOUND = sorted([*SPECS.rglob("*.yaml"), *(HERE / "ok").rglob("*.yaml")])
GOOD = [p for p in FOUND if p.parent.name != "manifests"]  # those are documents of Kubernetes


def value(path: Path) -> Any:
    node, found = parse(path.read_text())
    assert node is not None
    assert not found
    return node.value


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_good_documents_satisfy_it(path: Path) -> None:
    Draft202012Validator(json_schema()).validate(value(path))


@pytest.mark.parametrize(
    "case", ["unknown-keys", "limits", "durations", "strategy-shapes", "no-stages", "names"]
)
def test_badly_shaped_documents_do_not(case: str) -> None:
    assert not Draft202012Validator(json_schema()).is_valid(value(HERE / "err" / f"{case}.yaml"))


def test_every_key_is_described() -> None:
    for name, definition in json_schema()["$defs"].items():
        assert definition.get("description"), name
        for key, schema in definition.get("properties", {}).items():
            assert schema.get("description") or "$ref" in schema, f"{name}.{key}"


def test_the_caller_cannot_spoil_it() -> None:
    json_schema()["$defs"].clear()
    assert json_schema()["$defs"]


def test_keys_are_found_through_lists_mappings_and_strategies() -> None:
    kinds = ("blue_green", "canary", "recreate", "rolling")
    assert keys_at(ReleasePipeline, ("stages", 0, "strategy")) == kinds
    assert keys_at(ReleasePipeline, ("stages", 0, "strategy", "rolling")) == ("max_surge", "max_unavailable")
    assert keys_at(ReleasePipeline, ("stages", 3, "strategy", "recreate")) == ()
    assert "junit" in keys_at(ReleasePipeline, ("suites", "unit"))
    assert keys_at(ReleasePipeline, ("notify",)) == ("mention", "routes", "slack")
    assert keys_at(Environment, ("windows", 0)) == ("days", "from", "to", "zone")
    assert keys_at(People, ("people", "alice")) == ("airflow", "email", "name", "slack", "username")
