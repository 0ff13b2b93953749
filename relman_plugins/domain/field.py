"""What an approval must say besides yes: a change number, a class of risk."""

from __future__ import annotations

from typing import Any

from relman_plugins.domain.parameter import Parameter

_ONE_LINE = r"^[^\r\n]*$"


class Field(Parameter):
    """One field that a rule of a gate asks for.

    ``json_schema`` is what an answer is held against. Its pattern is one that takes time in proportion to the
    text, whatever the text (the syntax of the Rust crate ``regex``, without look-around).
    """

    required: bool = True
    """Whether an approval without it doesn't count for the rule."""
    pattern: str | None = None
    """What the whole of a ``string`` must match."""

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the field's value."""
        schema = super().json_schema()
        if self.type == "string" and not self.enum:
            schema["pattern"] = rf"^(?:{self.pattern})$" if self.pattern else _ONE_LINE
            schema["allOf"] = [{"pattern": _ONE_LINE}]
        return schema

    def takes(self) -> str:
        """Say which values the field takes."""
        return f"text that matches {self.pattern}" if self.pattern else super().takes()


def is_blank(value: Any) -> bool:
    """Say whether nothing was filled in: a form sends null or an empty text then."""
    return value is None or (isinstance(value, str) and not value.strip())
