"""Strategies: how traffic moves to the new version."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, Strict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from relman_plugins.spec.models.base import Count, Flag, Name, SpecModel
from relman_plugins.spec.models.blue_green import BlueGreen
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.rolling import Rolling
from relman_plugins.spec.models.written import as_written

KINDS = ("blue_green", "canary", "recreate", "rolling")

PLAIN = ("blue_green", "recreate", "rolling")
"""Those that may be written as one word: all their settings have defaults."""

Weight = Annotated[int, Strict(), Field(ge=1, le=100)]


class Recreate(SpecModel):
    """All traffic moves at once."""

    model_config = ConfigDict(json_schema_extra=as_written)

    kind: Literal["recreate"] = "recreate"
    """Which strategy this is; in YAML it is the key, not a value."""


class Canary(SpecModel):
    """Traffic moves in steps, with an analysis at each."""

    model_config = ConfigDict(json_schema_extra=as_written)

    kind: Literal["canary"] = "canary"
    """Which strategy this is; in YAML it is the key, not a value."""
    steps: Annotated[tuple[Weight, ...], Field(min_length=1, max_length=20)]
    """Share of the traffic for the new version at each step, in percent: increasing, the last one 100."""
    analysis: Name | None = None
    """The analysis that must pass at each step."""
    interval: Duration = Duration(60)
    """Time between two looks at the metrics."""
    count: Count = 5
    """How many looks each step takes."""
    baseline: Literal["stable", "fresh"] = "stable"
    """What a comparison compares with: the old version as it serves, or fresh replicas of it, as many as the
    new version has, and with as much traffic."""
    background: Flag = False
    """Whether the analysis is one watch in the background of all steps: each goes on with what the steps
    before it saw, so that harm too small to be certain at any of them is certain by their sum."""


def _unwrap(value: Any) -> Any:
    """Turn ``rolling`` and ``{canary: {…}}`` into what the tagged union reads."""
    if isinstance(value, (Recreate, Rolling, BlueGreen, Canary)):
        return value
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise PydanticCustomError("strategy", "must be recreate or one of the strategies with its settings")
    (kind, settings), *_ = value.items()
    if kind not in KINDS:
        raise PydanticCustomError("strategy_kind", "unknown strategy", {"found": str(kind)})
    settings = {} if settings is None else settings
    if not isinstance(settings, dict):
        raise PydanticCustomError("strategy_settings", "settings must be a mapping", {"found": kind})
    if "kind" in settings:
        raise PydanticCustomError("strategy_kind_key", "unknown key", {"found": kind})
    return {"kind": kind, **settings}


class _Written:
    """Describes the strategy the way it is written, for the JSON Schema."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        union = handler(schema)
        by_kind = dict(zip(KINDS, _alternatives(union), strict=True))
        by_kind |= {kind: {"anyOf": [by_kind[kind], {"type": "null"}]} for kind in PLAIN}
        return {
            "anyOf": [
                {"type": "string", "enum": list(PLAIN)},
                {
                    "type": "object",
                    "properties": by_kind,
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        }


def _alternatives(union: JsonSchemaValue) -> list[Any]:
    mapping = union["discriminator"]["mapping"]
    return [{"$ref": mapping[kind]} for kind in KINDS]


Strategy = Annotated[
    Annotated[Recreate | Rolling | BlueGreen | Canary, Field(discriminator="kind")],
    BeforeValidator(_unwrap),
    _Written(),
]
"""``recreate``, or ``{canary: {…}}``; tell them apart by ``kind``."""
