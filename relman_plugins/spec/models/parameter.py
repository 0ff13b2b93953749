"""A field that a pipeline adds to the trigger form."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from relman_plugins.domain.parameter import PARAMETER_PATTERN, Kind, Parameter, Value
from relman_plugins.spec.models.base import Line, Number, SpecModel, Text


def _scalar(value: Any) -> Value:
    if isinstance(value, str | int | float) and len(str(value)) <= 4000:
        return value
    raise PydanticCustomError("scalar", "is not a single value")


Scalar = Annotated[
    Value,
    PlainValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean"], "maxLength": 4000}),
]

ParameterName = Annotated[str, StringConstraints(pattern=PARAMETER_PATTERN)]
"""The name of a parameter."""


class ParameterField(SpecModel):
    """A field of the trigger form: what is asked of whoever starts a release."""

    description: Annotated[Text, StringConstraints(min_length=1)]
    """What it is for; shown below the field."""
    type: Kind = "string"
    """`string` is one line, `text` several; or `integer`, `number`, `boolean`."""
    title: Line | None = None
    """What the field is called; made from its name unless given."""
    default: Scalar | None = None
    """What it says unless changed. Without one the field must be filled in; a `boolean` starts as false."""
    enum: Annotated[tuple[Line, ...], Field(max_length=100)] = ()
    """The only values of a `string`; the form offers them as a list."""
    min: Number | None = None
    """The smallest value of a number."""
    max: Number | None = None
    """The largest value of a number."""

    def called(self, name: str) -> Parameter:
        """Return the parameter of this name that the plan has."""
        default = False if self.type == "boolean" and self.default is None else self.default
        return Parameter(
            name=name,
            type=self.type,
            title=self.title or "",
            description=self.description.strip(),
            default=default,
            enum=self.enum,
            min=self.min,
            max=self.max,
        )
