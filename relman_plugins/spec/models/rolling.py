"""The strategy ``rolling``, and the bounds it is given."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from relman_plugins.domain.bounds import PERCENT_PATTERN, Bound, resolved
from relman_plugins.spec.models.base import SpecModel
from relman_plugins.spec.models.written import as_written

HIGHEST = 10_000


def _bound(value: Any) -> Bound:
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            if resolved(value, 1, up=True) <= HIGHEST:
                return value
        except ValueError:
            pass
    raise PydanticCustomError("bound", "is not a bound of replicas")


Replicas = Annotated[
    Bound,
    PlainValidator(_bound),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": HIGHEST},
                {"type": "string", "pattern": PERCENT_PATTERN, "examples": ["25%"]},
            ]
        }
    ),
]
"""A count of replicas, or a percentage of the environment's."""


class Rolling(SpecModel):
    """The new version takes the old one's place some replicas at a time."""

    model_config = ConfigDict(json_schema_extra=as_written)

    kind: Literal["rolling"] = "rolling"
    """Which strategy this is; in YAML it is the key, not a value."""
    max_surge: Replicas = 1
    """How many replicas more than usual may run meanwhile: a count, or a percentage rounded up."""
    max_unavailable: Replicas = 0
    """How many replicas fewer than usual may serve meanwhile: a count, or a percentage rounded down."""
