"""Durations: ``30s``, ``5m``, ``2h``, ``7d``, and sums such as ``1h30m``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

PATTERN = r"^(?=\d)(\d{1,4}d)?(\d{1,5}h)?(\d{1,6}m)?(\d{1,7}s)?$"
"""Largest unit first, each unit at most once; at least one."""

LONGEST_S = 366 * 86_400
"""No wait in a release is longer than a year."""

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_MATCH = re.compile(PATTERN, re.ASCII)


@dataclass(frozen=True, order=True)
class Duration:
    """A length of time in whole seconds, at least one."""

    seconds: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read ``text``.

        Raises:
            ValueError: ``text`` is not a duration, is zero, or is longer than 366 days.
        """
        found = _MATCH.fullmatch(text)
        if found is None:
            raise ValueError(f"not a duration: {text!r}")
        parts = zip(found.groups(), _UNITS, strict=True)
        seconds = sum(int(part[:-1]) * factor for part, (_, factor) in parts if part)
        if not 0 < seconds <= LONGEST_S:
            raise ValueError(f"not between 1s and 366d: {text!r}")
        return cls(seconds)

    def __str__(self) -> str:
        """Write the duration the way :meth:`parse` reads it, shortest form."""
        rest, text = self.seconds, ""
        for unit, factor in _UNITS:
            whole, rest = divmod(rest, factor)
            text += f"{whole}{unit}" if whole else ""
        return text

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": PATTERN, "examples": ["30s", "5m", "2h", "7d"]}


def _validate(value: Any) -> Duration:
    if isinstance(value, Duration):
        return value
    if isinstance(value, str):
        try:
            return Duration.parse(value)
        except ValueError:
            pass
    raise PydanticCustomError("duration", "is not a duration")
