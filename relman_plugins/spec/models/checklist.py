"""A suite that people go through by hand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from relman_plugins.spec.models.base import Line, Name, SpecModel
from relman_plugins.spec.models.duration import Duration


class ChecklistItem(SpecModel):
    """One thing to try."""

    item: Line = Field(description="What must hold, in words.")
    """What must hold, in words."""
    id: Name | None = None
    """What answers and reports call it; `item-1`, `item-2`, … unless given."""


class _Short:
    """Describes an item for the JSON Schema the way it may be written: as text alone, too."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        whole = handler(schema)
        text = handler.resolve_ref_schema(whole)["properties"]["item"]
        return {"anyOf": [{k: v for k, v in text.items() if k != "title"}, whole]}


def _whole(value: Any) -> Any:
    return {"item": value} if isinstance(value, str) else value


class Checklist(SpecModel):
    """A suite that people go through by hand and answer in Required Actions."""

    checklist: Annotated[
        tuple[Annotated[ChecklistItem, BeforeValidator(_whole), _Short()], ...],
        Field(min_length=1, max_length=50),
    ]
    """What to try, in order: text, or `{item, id}`."""
    group: Name
    """The group, from `people.yaml`, of which one answers."""
    timeout: Duration = Duration(86_400)
    """How long the checklist waits for the answer."""
    on_timeout: Literal["reject", "expire"] = "reject"
    """What happens when time is up: the suite is red (`reject`), or the release expires. It never passes."""


def suite_kind(value: Any) -> str:
    """Return the name of the model that a suite is written for: what makes a checklist is its list."""
    listed = "checklist" in value if isinstance(value, dict) else isinstance(value, Checklist)
    return Checklist.__name__ if listed else "Suite"


class AnyOf:
    """Describes a union for the JSON Schema as ``anyOf``, which editors report on best."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": handler(schema)["oneOf"]}
