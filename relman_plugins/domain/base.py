"""The base of relman's value types, and the canonical JSON that digests are taken over."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value: unknown fields are errors, equality is by content.

    Built when first used: a DAG file imports many of these and needs few. For the same reason pydantic does
    not look for the docstrings of fields, for which it would read the source of each class at import.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def canonical_json(value: Any) -> str:
    """Render JSON-able data in one way only: keys sorted, no spaces, UTF-8, no NaN.

    The rules are those of RFC 8785 for the data relman uses (strings, integers, booleans, lists and
    objects with string keys); floats are written by ``repr``, which is the shortest form that reads back.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """Return ``sha256:<hex>`` of the canonical JSON of ``value``."""
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()
