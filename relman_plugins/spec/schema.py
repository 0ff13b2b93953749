"""The JSON Schema of everything that is written in YAML, for editors and for the wording of diagnostics."""

from __future__ import annotations

import ast
import copy
import inspect
import itertools
import json
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from relman_plugins.domain.base import Frozen
from relman_plugins.spec.models import Calendar, Environment, People, ReleasePipeline
from relman_plugins.spec.models.base import API_VERSION, SpecModel
from relman_plugins.spec.models.policy import Policy

KINDS: tuple[type[SpecModel], ...] = (ReleasePipeline, Policy, Environment, Calendar, People)


def json_schema() -> dict[str, Any]:
    """Return the schema of a document of any kind (JSON Schema 2020-12).

    The kind decides which definition a document is held against, so that an editor speaks of that kind only.
    What the schema can't say (references between documents, order, safety) the rules check.
    """
    return copy.deepcopy(_schema())


def schema_text() -> str:
    """Return the schema as the text of a file, the same for the same version of relman."""
    return json.dumps(_schema(), indent=2, ensure_ascii=False) + "\n"


def keys_at(
    model: type[SpecModel], path: Sequence[str | int], chosen: Sequence[str | int] = ()
) -> tuple[str, ...]:
    """Return the keys that may stand in the mapping at ``path``, sorted; none if any key may.

    Where one of several definitions was chosen, ``chosen`` is the path with the definition's name in it.
    """
    definitions = _schema()["$defs"]
    schemas = [definitions[model.__name__]]
    last = max((n for n, part in enumerate(chosen) if part in definitions), default=None)
    if last is not None:
        schemas, path = [definitions[str(chosen[last])]], chosen[last + 1 :]
    for part in path:
        schemas = [inner for s in schemas for inner in _inside(_resolved(s, definitions), part, definitions)]
    return tuple(sorted({key for s in schemas for key in _properties(s, definitions)}))


def _properties(schema: dict[str, Any], definitions: dict[str, Any]) -> set[str]:
    schema = _resolved(schema, definitions)
    own = set(schema.get("properties", {}))
    return own.union(*(_properties(s, definitions) for s in schema.get("anyOf", ())))


@cache
def _schema() -> dict[str, Any]:
    _, schema = models_json_schema([(kind, "validation") for kind in KINDS], by_alias=True)
    names = [kind.__name__ for kind in KINDS]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "A document of a release spec.",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {"const": API_VERSION, "description": "Version of this format."},
            "kind": {"enum": names, "description": "Kind of document."},
        },
        "allOf": [
            {
                "if": {"required": ["kind"], "properties": {"kind": {"const": name}}},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in names
        ],
        "$defs": {
            name: _described(name, _untitled(definition))
            for name, definition in sorted(schema["$defs"].items())
        },
    }


def _described(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    """Give the keys of a model's definition the docstrings of its fields, for editors."""
    model = _models().get(name)
    if model is None:  # an enumeration
        return definition
    bases = [c for c in reversed(model.__mro__) if issubclass(c, Frozen) and c not in (Frozen, SpecModel)]
    written = {field: text for base in bases for field, text in _docstrings(base).items()}
    keys = {field: info.alias or field for field, info in model.model_fields.items()}
    for field, key in keys.items():
        if key in definition["properties"]:
            found = definition["properties"][key] | {"description": written[field]}
            definition["properties"][key] = dict(sorted(found.items()))
    return definition


@cache
def _models() -> dict[str, type[SpecModel]]:
    found, waiting = {}, [SpecModel]
    while waiting:
        model = waiting.pop()
        found[model.__name__] = model
        waiting += model.__subclasses__()
    return found


def _docstrings(model: type[Frozen]) -> dict[str, str]:
    """Return what stands in quotes below each field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - for the type checker
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in itertools.pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _untitled(schema: Any) -> Any:
    """Leave out the titles that pydantic makes of keys: editors would show them above the descriptions."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # A key of the format may itself be called title: then what it holds is a schema, not text.
    return {k: _untitled(v) for k, v in schema.items() if not (k == "title" and isinstance(v, str))}


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _inside(schema: dict[str, Any], part: str | int, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if "anyOf" in schema:
        return [i for s in schema["anyOf"] for i in _inside(_resolved(s, definitions), part, definitions)]
    if isinstance(part, int):
        return [schema["items"]] if "items" in schema else []
    if part in schema.get("properties", {}):
        return [schema["properties"][part]]
    values = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    return [v for v in values if isinstance(v, dict)]
