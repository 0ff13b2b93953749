"""Reading JSON that anybody may have written: one meaning, bounded, or a ValueError that says why not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

LIMIT = 64 * 1024 * 1024
"""Bytes of a file that are read. The evidence of a release has tens or hundreds of kilobytes."""

VALUES = 5_000_000
"""Values of which a file may consist: each takes some hundred bytes of memory."""

DEPTH = 64
"""Levels of objects and lists; evidence has about ten."""


def parsed(data: bytes, what: str) -> Any:
    """Return the one JSON value that ``data`` is.

    Raises:
        ValueError: too large, too much or too deep, not JSON in UTF-8, more than one value, a key twice in
            one object, a number that is none, or halves of characters.
    """
    if len(data) > LIMIT:
        raise ValueError(f"{what} has more than {LIMIT // 1024 // 1024} MiB")
    # Counts those in texts too, which is near enough.
    if sum(data.count(mark) for mark in (b"[", b"{", b",")) > VALUES:
        raise ValueError(f"{what} has more than {VALUES // 1_000_000} million values")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
        _bounded(value)
    except RecursionError:
        raise ValueError(f"{what} is nested deeper than {DEPTH} levels") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not UTF-8: byte {error.start} has no meaning") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not one JSON value: line {error.lineno}: {error.msg}") from None
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    return value


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} is there twice in one object")
        found[key] = value
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


def _bounded(value: Any) -> None:
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > DEPTH:
            raise ValueError(f"nested deeper than {DEPTH} levels")
        if isinstance(one, dict):
            left += [(part, depth + 1) for part in one.values()]
            left += [(key, depth) for key in one]
        elif isinstance(one, list):
            left += [(part, depth + 1) for part in one]
        elif isinstance(one, float) and not math.isfinite(one):
            raise ValueError("a number is larger than any")
        elif isinstance(one, str):
            one.encode()
