"""SARIF 2.1.0: what code hosts read. The structure is the standard's; ids, places and levels are ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator

from relman_plugins.spec.api import load_pipeline
from relman_plugins.spec.codes import CODES
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.sarif import render_sarif

ERR = Path(__file__).parent / "err"


def closed(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def many(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


TEXT = {"type": "string", "minLength": 1}
PLACE = {"type": "integer", "minimum": 1}
MESSAGE = closed(("text",), text=TEXT)
REGION = closed(("startLine",), startLine=PLACE, startColumn=PLACE, endLine=PLACE, endColumn=PLACE)
LOCATION = closed(
    ("physicalLocation",),
    physicalLocation=closed(
        ("artifactLocation", "region"), artifactLocation=closed(("uri",), uri=TEXT), region=REGION
    ),
    logicalLocations=many(closed(fullyQualifiedName=TEXT)),
)
RESULT = closed(
    ("ruleId", "ruleIndex", "level", "message", "locations"),
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level={"enum": ["error", "warning"]},
    message=MESSAGE,
    locations=many(LOCATION) | {"minItems": 1},
)
DRIVER = closed(
    ("name", "rules"),
    name=TEXT,
    semanticVersion=TEXT,
    rules=many(closed(("id",), id=TEXT, shortDescription=MESSAGE)) | {"uniqueItems": True},
)
RUN = closed(
    ("tool", "results"),
    tool=closed(("driver",), driver=DRIVER),
    columnKind={"const": "unicodeCodePoints"},
    results=many(RESULT),
)
STRUCTURE = closed(
    ("version", "runs"),
    **{"$schema": TEXT, "version": {"const": "2.1.0"}, "runs": many(RUN) | {"minItems": 1, "maxItems": 1}},
)
"""The part of the standard's schema that relman writes."""


def run(diagnostics: tuple[Diagnostic, ...]) -> dict[str, Any]:
    from sarif_pydantic import Sarif  # as those who read such files do

    log = json.loads(render_sarif(diagnostics))
    Draft202012Validator(STRUCTURE).validate(log)
    Sarif.model_validate(log)
    return dict(log["runs"][0])


@pytest.mark.parametrize(
    "case", ["gates", "wrong-types", "extends-weights", "nul", "not-utf8", "empty", "unused"]
)
def test_every_finding_is_a_result_at_its_place(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERR)
    diagnostics = load_pipeline(Path(f"{case}.yaml")).diagnostics
    found = run(diagnostics)
    rules = found["tool"]["driver"]["rules"]
    assert len(found["results"]) == len(diagnostics)
    for result, diagnostic in zip(found["results"], diagnostics, strict=True):
        place = result["locations"][0]["physicalLocation"]
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == diagnostic.code
        assert rules[result["ruleIndex"]]["shortDescription"]["text"] == CODES[diagnostic.code]
        assert result["level"] == diagnostic.severity
        assert result["message"]["text"].startswith(diagnostic.message)
        assert diagnostic.hint in result["message"]["text"]
        assert place["artifactLocation"]["uri"] == diagnostic.path
        region = place["region"]
        assert (region["startLine"], region["startColumn"]) == (diagnostic.line, diagnostic.column)
        assert (region["endLine"], region["endColumn"]) == (diagnostic.end_line, diagnostic.end_column)


def test_nothing_found_is_a_run_without_results() -> None:
    assert run(())["results"] == []


@pytest.mark.parametrize(
    ("path", "uri"),
    [("a b/ü#1.yaml", "a%20b/%C3%BC%231.yaml"), ("/specs/a b.yaml", "file:///specs/a%20b.yaml")],
)
def test_paths_become_addresses(path: str, uri: str) -> None:
    (result,) = run((Diagnostic("RM001", "error", "m", path),))["results"]
    found = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert found == uri
    assert unquote(found).removeprefix("file://") == path
