"""The numbers of a metric, from JSON. A fault is a ``BadDocument`` with its place."""

from __future__ import annotations

import math
from typing import Any

from relman_plugins.judge.document import BadDocument, kind_of

NAN = "NaN"
LARGEST = 1e300
"""Beyond this, sums and differences would leave the range of numbers."""
MOST = 1e15
"""Of what is counted. Beyond this, one more makes no difference to a number."""


def numbers(values: list[Any], path: str) -> list[float]:
    """Return plain numbers; ``"NaN"`` becomes one that is none."""
    kinds = set(map(type, values))
    if kinds <= {float} and all(map(math.isfinite, values)) and max(map(abs, values), default=0) <= LARGEST:
        return values
    return [number(value, f"{path}[{i}]") for i, value in enumerate(values)]


def number(value: Any, path: str) -> float:
    """Return one number, or NaN for ``"NaN"``."""
    if value == NAN and isinstance(value, str):
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadDocument(path, f'expected a number or "NaN"; found {kind_of(value)}')
    if not -LARGEST <= value <= LARGEST:
        raise BadDocument(path, f"the number is too large; at most {LARGEST:g} either way")
    return float(value)


def pairs(values: list[Any], path: str) -> list[tuple[float, float]]:
    """Return ``(bad, total)`` for each look; ``"NaN"`` in place of a pair is a look without an answer."""
    return [pair(value, f"{path}[{i}]") for i, value in enumerate(values)]


def pair(value: Any, path: str) -> tuple[float, float]:
    """Return ``(bad, total)`` of one look, or two NaN for ``"NaN"``."""
    if value == NAN and isinstance(value, str):
        return math.nan, math.nan
    if not isinstance(value, list) or len(value) != 2:
        raise BadDocument(path, f'expected [bad, total] or "NaN"; found {kind_of(value)}')
    bad, total = (number(part, f"{path}[{i}]") for i, part in enumerate(value))
    for i, part in enumerate((bad, total)):
        _countable(part, f"{path}[{i}]")
        if math.isnan(part):
            raise BadDocument(
                f"{path}[{i}]", 'expected a number; a look without an answer is "NaN" as a whole'
            )
        if part < 0:
            raise BadDocument(f"{path}[{i}]", f"{part:g} is negative; expected a number of requests")
    if bad > total:
        raise BadDocument(path, f"{bad:g} bad of {total:g} in all; bad must be at most the total")
    return bad, total


def counts(values: list[Any], path: str) -> list[float]:
    """Return how often something happened, for each look."""
    found = numbers(values, path)
    for i, value in enumerate(found):
        if value < 0:
            raise BadDocument(f"{path}[{i}]", f"{value:g} is negative; expected a count")
        _countable(value, f"{path}[{i}]")
    return found


def _countable(value: float, path: str) -> None:
    if value > MOST:
        raise BadDocument(path, f"{value:g} is more than anybody counts; at most {MOST:g}")


def counts_by_exposure(values: list[Any], path: str) -> list[tuple[float, float]]:
    """Return ``(count, exposure)`` for each look; a plain count has the exposure 1."""
    found = []
    for i, value in enumerate(values):
        here = f"{path}[{i}]"
        if not isinstance(value, list):
            found.append((counts([value], here)[0], 1.0))
        elif len(value) != 2:
            raise BadDocument(here, f"expected a count or [count, exposure]; found {kind_of(value)}")
        else:
            count, exposure = counts(value, here)
            if count > 0 and not exposure >= 1 / MOST:
                raise BadDocument(f"{here}[1]", f"expected what the count of {count:g} rests on, above 0")
            found.append((count, exposure))
    return found


def one_number_a_look(kind: str, values: list[Any], path: str) -> list[float]:
    """Return one number for each look: of a proportion the share, NaN where there were no requests."""
    if kind == "proportion":
        return [bad / total if total > 0 else math.nan for bad, total in pairs(values, path)]
    return counts(values, path) if kind == "count" else numbers(values, path)
