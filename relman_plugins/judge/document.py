"""What is judged: one JSON document with the method, the metrics and their numbers.

``read`` is the only way in for text from outside. It raises ``BadDocument`` with the place of the fault as a
JSON path (``$.metrics[2].control[17]``), whatever the text is.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NoReturn

from pydantic import ConfigDict, Field, ValidationError

from relman_plugins.domain.base import Frozen
from relman_plugins.errors import RelmanError

MAX_BYTES = 64 * 1024 * 1024
"""The longest text that is read."""


class BadDocument(RelmanError):
    """The text is not a document that can be judged; ``path`` says where."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class _Strict(Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, strict=True, allow_inf_nan=False)


Ratio = Annotated[float, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Name = Annotated[str, Field(min_length=1, max_length=500)]


class EffectSize(_Strict):
    """How large a change must be, besides being certain, to count."""

    measure: Literal["mean_ratio", "cles"] = "mean_ratio"
    allowed_increase: Ratio | None = None
    """Counts as High at this effect or above; None is no change: 1 for ``mean_ratio``, 0.5 for ``cles``."""
    allowed_decrease: Ratio | None = None
    """Counts as Low at this effect or below; None is no change."""
    critical_increase: Ratio | None = None
    """From here on a critical metric that is High forces the score to 0; None is no change."""
    critical_decrease: Ratio | None = None

    @property
    def no_change(self) -> float:
        """The effect of two equal samples."""
        return 0.5 if self.measure == "cles" else 1.0


class Outliers(_Strict):
    """What happens to extreme values."""

    strategy: Literal["keep", "remove"] = "keep"
    factor: Annotated[float, Field(gt=0)] = 3.0
    """Distance of the fences from the quartiles, in interquartile ranges."""
    reduce_sensitivity: bool = True
    """Nothing between the 1st and the 99th percentile is an outlier."""


class MetricData(_Strict):
    """One metric, and its numbers of the old version (control) and of the new one (experiment)."""

    name: Name
    kind: Literal["values", "proportion", "count"] = "values"
    control: list[Any] = Field(default_factory=list)
    experiment: list[Any] = Field(default_factory=list)
    direction: Literal["increase", "decrease", "either"] = "either"
    """Which change is harmful."""
    nan_strategy: Literal["remove", "replace"] = "remove"
    critical: bool = False
    must_have_data: bool = False
    muted: bool = False
    """Advisory: judged and shown, never decides."""
    effect_size: EffectSize = Field(default_factory=EffectSize)
    outliers: Outliers = Field(default_factory=Outliers)
    groups: list[Name] = Field(default_factory=list)
    classification: Literal["Pass", "High", "Low", "Nodata", "Error"] | None = None
    """Given instead of numbers: the metric is only scored."""


class Thresholds(_Strict):
    """What a score means; both limits belong to the better side."""

    pass_: Annotated[Percent, Field(alias="pass")] = 95.0
    marginal: Percent = 75.0
    nodata: Annotated[float, Field(gt=0, le=100)] = 50.0
    """Share of metrics without data, in percent, from which on the score is 0."""


class Document(_Strict):
    """What is judged, and how."""

    method: Literal["mann_whitney"] = "mann_whitney"
    metrics: list[MetricData]
    group_weights: dict[str, Percent] = Field(default_factory=dict)
    """Percent of the score; groups without a weight share equally what is left of 100."""
    thresholds: Thresholds = Field(default_factory=Thresholds)
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.98
    tolerance: Ratio = 0.25


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


def kind_of(value: Any) -> str:
    """Say in JSON's words what a value is, without repeating much of it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"the text {json.dumps(value[:40])}" + ("…" if len(value) > 40 else "")
    if isinstance(value, (int, float)):
        return str(value) if isinstance(value, float) or value.bit_length() < 200 else "a huge number"
    return "a list" if isinstance(value, list) else "an object"


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
        names = [f.alias or n for m in _models_at(fault["loc"][:-1]) for n, f in m.model_fields.items()]
        near = difflib.get_close_matches(str(fault["loc"][-1])[:100], names, n=1)
        return "unknown key" + (f'; did you mean "{near[0]}"?' if near else f"; known are {', '.join(names)}")
    said = str(fault["msg"]).removeprefix("Input should be ")
    return f"expected {said[0].lower()}{said[1:]}; found {found}"


def _models_at(loc: tuple[int | str, ...]) -> list[type[_Strict]]:
    last = next((part for part in reversed(loc) if isinstance(part, str)), "")
    inner: dict[str, type[_Strict]] = {
        "effect_size": EffectSize, "outliers": Outliers, "thresholds": Thresholds, "metrics": MetricData,
    }  # fmt: skip
    return [inner.get(last, Document)]


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
    total = sum(document.group_weights.values())
    if total > 100 + 1e-9:
        raise BadDocument(
            "$.group_weights", f"the weights add up to {total:g}; they are percent of the score, at most 100"
        )
    if document.thresholds.marginal > document.thresholds.pass_:
        raise BadDocument("$.thresholds.marginal", "above pass; it must be at most that")
