"""What a release may be asked beyond its version: the fields that a pipeline adds to its trigger form."""

from __future__ import annotations

import math
from typing import Any, Literal

from relman_plugins.domain.base import Frozen

PARAMETER_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"
"""Names of parameters: what a variable's name and a form's field both accept."""

LONGEST_TEXT = 4000
LONGEST_LINE = 200

FORM_FIELDS = ("version", "changes", "ticket", "emergency", "emergency_reason", "dry_run")
"""The fields that every form has, in its order. No parameter may be called like one of them."""

Kind = Literal["string", "text", "integer", "number", "boolean"]
Value = str | int | float | bool


class Parameter(Frozen):
    """One field of a pipeline's own, and which values it takes.

    ``json_schema`` is what the form and Airflow's API hold a value against, ``taken`` what relman does: they
    accept the same values.
    """

    name: str
    type: Kind = "string"
    """``string`` is one line, ``text`` several."""
    title: str = ""
    description: str = ""
    default: Value | None = None
    """None: the field must be filled in."""
    enum: tuple[str, ...] = ()
    """The only values of a ``string``; none: any line."""
    min: float | None = None
    max: float | None = None

    @property
    def label(self) -> str:
        """Return what the field is called for people."""
        return self.title or self.name.replace("_", " ").capitalize()

    @property
    def variable(self) -> str:
        """Return the environment variable that builds and suites get the value in."""
        return f"RELMAN_PARAM_{self.name.upper()}"

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the field's value."""
        if self.type == "boolean":
            return {"type": "boolean"}
        if self.type in ("integer", "number"):
            limits = {"minimum": self.min, "maximum": self.max}
            return {"type": self.type} | {k: _whole(v) for k, v in limits.items() if v is not None}
        if self.enum:
            return {"type": "string", "enum": list(self.enum)}
        # An empty field arrives as null.
        empty = self.default == ""
        longest = LONGEST_TEXT if self.type == "text" else LONGEST_LINE
        schema: dict[str, Any] = {"type": ["null", "string"] if empty else "string", "maxLength": longest}
        if self.type == "text":
            schema["format"] = "multiline"
        else:
            # Python's "$" also stands before a last line break; the form's does not.
            schema["pattern"] = r"^[^\r\n]*$(?!\n)"
        return schema if empty else schema | {"minLength": 1}

    def taken(self, value: Any) -> Value:
        """Return a value as the plan has it.

        Raises:
            ValueError: the field does not take it; the message says what it takes, not what it was given.
        """
        if value is None and self.default == "":
            return ""
        match self.type:
            case "boolean" if isinstance(value, bool):
                return value
            case "integer" | "number" if self._in_range(value):
                return _whole(value)
            case "string" | "text" if isinstance(value, str) and self._is_text(value):
                return value
        raise ValueError(f"{self.label} ({self.name}) takes {self.takes()}")

    def takes(self) -> str:
        """Say which values the field takes."""
        if self.enum:
            return "one of " + ", ".join(self.enum)
        if self.type == "boolean":
            return "true or false"
        if self.type in ("string", "text"):
            least = "" if self.default == "" else "at least one and "
            lines = "one line of " if self.type == "string" else ""
            return f"{lines}{least}at most {LONGEST_LINE if lines else LONGEST_TEXT} characters"
        low = f" from {_whole(self.min)}" if self.min is not None else ""
        high = f" up to {_whole(self.max)}" if self.max is not None else ""
        return f"a {'whole ' if self.type == 'integer' else ''}number{low}{high}"

    def _in_range(self, value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        # A whole number may be too large for a float.
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if self.type == "integer" and value != value // 1:
            return False
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def _is_text(self, value: str) -> bool:
        if self.enum:
            return value in self.enum
        if not value:
            return self.default == ""
        if self.type == "text":
            return len(value) <= LONGEST_TEXT
        return len(value) <= LONGEST_LINE and not {"\n", "\r"} & set(value)


def as_text(value: Value) -> str:
    """Return a value as an environment variable holds it: ``true`` and ``false`` for booleans."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(value: float) -> int | float:
    return int(value) if value == value // 1 else value
