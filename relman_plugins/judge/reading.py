"""From text to a document that can be judged, or to one message with the place of the fault."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from relman_plugins.judge.document import (
    BadDocument,
    Document,
    EffectSize,
    MetricData,
    Outliers,
    Thresholds,
    Window,
    kind_of,
)

MAX_BYTES = 64 * 1024 * 1024
"""The longest text that is read."""


def read(text: str | bytes) -> Document:
    """Return the document that ``text`` holds.

    Raises:
        BadDocument: It isn't JSON, or not such a document, or says what can't be judged.
    """
    if len(text) > MAX_BYTES:
        raise BadDocument("$", f"longer than {MAX_BYTES // 1024 // 1024} MB")
    data = _parsed(text)
    if not isinstance(data, dict):
        raise BadDocument("$", f"expected an object, found {kind_of(data)}")
    _no_twins(data)
    try:
        document = Document.model_validate(data)
    except ValidationError as error:
        raise _explained(error) from None
    _consistent(document)
    return document


class _Twins(dict[str, Any]):
    """An object in which a key occurs twice; ``key`` is that key."""

    key: str


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise BadDocument("$", "nested too deeply") from None
    except UnicodeDecodeError as error:
        raise BadDocument("$", f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise BadDocument(
            "$", f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError as error:  # an integer of thousands of digits
        raise BadDocument("$", f"not JSON that can be read: {str(error)[:200]}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    seen: set[str] = set()
    twins = _Twins(made)
    twins.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return twins


def _constant(word: str) -> NoReturn:
    raise BadDocument("$", f'{word} is no JSON; a value that is no number is written "NaN" in quotes')


def _no_twins(data: Any) -> None:
    waiting = [("$", data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Twins):
            raise BadDocument(path, f"the key {json.dumps(value.key[:100])} occurs twice")
        inside: Iterator[tuple[Any, Any]] = iter(())
        if isinstance(value, dict):
            inside = iter(value.items())
        elif isinstance(value, list):
            inside = enumerate(value)
        waiting += [(f"{path}{step(k)}", v) for k, v in inside if isinstance(v, (dict, list))]


def step(key: object) -> str:
    """Return one step of a JSON path."""
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if re.fullmatch(r"\w{1,100}", str(key)) else f"[{json.dumps(str(key)[:100])}]"


def _explained(error: ValidationError) -> BadDocument:
    """Make one message of the first fault; the others are counted."""
    faults = error.errors(include_url=False, include_context=True)
    first = faults[0]
    path = "$" + "".join(map(step, first["loc"]))
    more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
    return BadDocument(path, _words(first) + more)


def _words(fault: Any) -> str:
    kind, found = fault["type"], kind_of(fault["input"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        names = [field.alias or name for name, field in _model_at(fault["loc"][:-1]).model_fields.items()]
        near = difflib.get_close_matches(str(fault["loc"][-1])[:100], names, n=1)
        return "unknown key" + (f'; did you mean "{near[0]}"?' if near else f"; known are {', '.join(names)}")
    said = str(fault["msg"]).removeprefix("Input should be ")
    return f"expected {said[0].lower()}{said[1:]}; found {found}"


_MODELS: dict[str, type[BaseModel]] = {
    "effect_size": EffectSize,
    "outliers": Outliers,
    "thresholds": Thresholds,
    "metrics": MetricData,
    "windows": Window,
}


def _model_at(loc: tuple[int | str, ...]) -> type[BaseModel]:
    last = next((part for part in reversed(loc) if isinstance(part, str)), "")
    return _MODELS.get(last, Document)


_ONLY = {
    "max": ("sequential", "threshold"),
    "min": ("threshold",),
    "min_samples": ("sequential", "threshold", "slo"),
    "buckets": ("sequential",),
    "tolerated_failures": ("threshold",),
    "warm_up": ("threshold",),
    "objective": ("slo",),
}
"""Fields of a metric that only these methods know; elsewhere they would be passed over in silence."""


def _fits(document: Document, metric: MetricData, path: str) -> None:
    for name, methods in _ONLY.items():
        if name in metric.model_fields_set and document.method not in methods:
            raise BadDocument(
                f"{path}.{name}", f"only {' and '.join(methods)} know it, not {document.method}"
            )
    if metric.buckets and metric.kind != "values":
        raise BadDocument(f"{path}.buckets", f"only metrics of the kind values have them, not {metric.kind}")
    if metric.buckets != sorted(set(metric.buckets)):
        raise BadDocument(f"{path}.buckets", "the bounds must rise")
    if document.method == "sequential" and metric.max is not None:
        if metric.kind != "proportion":
            raise BadDocument(f"{path}.max", f"only a proportion has a bad share, not {metric.kind}")
        if not 0 < metric.max < 1:
            raise BadDocument(f"{path}.max", f"expected a share between 0 and 1; found {metric.max:g}")
    if document.method == "threshold" and metric.min_samples and metric.kind != "proportion":
        raise BadDocument(f"{path}.min_samples", f"only a proportion has samples, not {metric.kind}")
    if metric.max is not None and metric.min is not None and metric.min > metric.max:
        raise BadDocument(f"{path}.min", "above max: no value could pass")


def _consistent(document: Document) -> None:
    """Check what no single field can say."""
    seen: set[str] = set()
    for i, metric in enumerate(document.metrics):
        if metric.name in seen:
            raise BadDocument(f"$.metrics[{i}].name", f"{json.dumps(metric.name)} occurs twice")
        seen.add(metric.name)
        twice = {group for group in metric.groups if metric.groups.count(group) > 1}
        if twice:
            raise BadDocument(f"$.metrics[{i}].groups", f"{json.dumps(min(twice))} occurs twice")
        _fits(document, metric, f"$.metrics[{i}]")
    total = sum(document.group_weights.values())
    if total > 100 + 1e-9:
        raise BadDocument(
            "$.group_weights", f"the weights add up to {total:g}; they are percent of the score, at most 100"
        )
    if document.thresholds.marginal > document.thresholds.pass_:
        raise BadDocument("$.thresholds.marginal", "above pass; it must be at most that")
