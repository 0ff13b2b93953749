"""What models have in common that are written as ``{name: {settings}}``."""

from __future__ import annotations

from typing import Any


def as_written(schema: dict[str, Any]) -> None:
    """Take ``kind`` out of the JSON Schema: in YAML it is the key that holds the settings."""
    schema.get("properties", {}).pop("kind", None)
