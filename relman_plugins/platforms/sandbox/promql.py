"""A documented part of PromQL over the daemon's own samples.

What it knows: selectors with `=`, `!=`, `=~`, `!~`; `rate`, `increase`, `histogram_quantile`, `vector`,
`scalar`; `sum`, `avg`, `min`, `max`, `count` with `by` and `without`; `+ - * / % ^`, comparisons with and
without `bool`, between scalars and vectors, one series to one, with `on` and `ignoring`; `or`; unary minus.
Anything else is refused by name, never guessed.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any

from relman_plugins.errors import ClientRejected
from relman_plugins.platforms.sandbox import promfuncs
from relman_plugins.platforms.sandbox.metrics import Labels
from relman_plugins.platforms.sandbox.samples import Samples, Test, equals, matches

Vector = dict[Labels, float]
Value = float | Vector

MAX_QUERY = 8192

MAX_DEPTH = 100
"""Expressions in one another; Python's own limit is not the same in every process."""

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def parse(query: str) -> Any:
    """Parse a query; raise ClientRejected with the parser's reason."""
    import promql_parser

    if len(query) > MAX_QUERY:
        raise ClientRejected(f"the query has {len(query)} characters; at most {MAX_QUERY} are read")
    try:
        return promql_parser.parse(query)
    except (ValueError, RecursionError) as e:
        raise ClientRejected(f"invalid query: {e}") from e


def evaluate(samples: Samples, tree: Any, at: float) -> Value:
    """Evaluate a parsed query at a Unix time.

    Raises:
        ClientRejected: It uses something that is not in the part of PromQL spoken here, or matches several
            series where there may be one; or it is nested more than ``MAX_DEPTH`` deep.
    """
    return _Evaluation(samples, at).value(tree)


class _Evaluation:
    def __init__(self, samples: Samples, at: float) -> None:
        self._samples, self._at = samples, at
        self._depth = 0

    def value(self, node: Any) -> Value:
        if self._depth == MAX_DEPTH:
            raise ClientRejected("the query is nested too deeply")
        self._depth += 1
        try:
            return self._valued(node)
        finally:
            self._depth -= 1

    def _valued(self, node: Any) -> Value:
        kind = type(node).__name__
        handler = getattr(self, f"_{kind}", None)
        if handler is None:
            raise _unknown(kind)
        result: Value = handler(node)
        return result

    def _NumberLiteral(self, node: Any) -> Value:  # noqa: N802 - named after the parser's class
        return float(node.val)

    def _ParenExpr(self, node: Any) -> Value:  # noqa: N802
        return self.value(node.expr)

    def _UnaryExpr(self, node: Any) -> Value:  # noqa: N802
        value = self.value(node.expr)
        return -value if isinstance(value, float) else {_nameless(k): -v for k, v in value.items()}

    def _VectorSelector(self, node: Any) -> Value:  # noqa: N802
        return dict(self._samples.latest(_tests(node), self._at))

    def _Call(self, node: Any) -> Value:  # noqa: N802
        name, args = node.func.name, node.args
        if name in ("rate", "increase"):
            return self._increase(args[0], per_second=name == "rate")
        if name == "histogram_quantile":
            return self._quantile(self._scalar(args[0]), self._vector(args[1]))
        if name == "vector":
            return {(): self._scalar(args[0])}
        if name == "scalar":
            values = list(self._vector(args[0]).values())
            return values[0] if len(values) == 1 else math.nan
        raise _unknown(f"function {name}")

    def _increase(self, node: Any, *, per_second: bool) -> Vector:
        if type(node).__name__ != "MatrixSelector":
            raise _unknown(type(node).__name__)
        seconds = node.range.total_seconds()
        start = self._at - seconds
        found: Vector = {}
        for labels, points in self._samples.window(_tests(node.vector_selector), start, self._at):
            grown = promfuncs.increase(points, start, self._at)
            if grown is not None:
                found[_nameless(labels)] = grown / seconds if per_second else grown
        return found

    def _quantile(self, q: float, vector: Vector) -> Vector:
        groups: dict[Labels, list[tuple[float, float]]] = {}
        for labels, value in vector.items():
            try:
                bound = float(dict(labels)["le"])
            except (KeyError, ValueError):
                continue
            groups.setdefault(_without(labels, {"__name__", "le"}), []).append((bound, value))
        return {labels: promfuncs.quantile(q, buckets) for labels, buckets in groups.items()}

    def _AggregateExpr(self, node: Any) -> Value:  # noqa: N802
        name = str(node.op)
        if name not in ("sum", "avg", "min", "max", "count"):
            raise _unknown(f"aggregation {name}")
        by, names = True, set()
        if node.modifier is not None:
            by, names = str(node.modifier.type).endswith("By"), set(node.modifier.labels)
        groups: dict[Labels, list[float]] = {}
        for labels, value in self._vector(node.expr).items():
            key = _only(labels, names) if by else _without(labels, names | {"__name__"})
            groups.setdefault(key, []).append(value)
        return {labels: _aggregate(name, values) for labels, values in groups.items()}

    def _BinaryExpr(self, node: Any) -> Value:  # noqa: N802
        name, modifier = str(node.op), node.modifier
        key = _matching_key(modifier)
        left, right = self.value(node.lhs), self.value(node.rhs)
        if name == "or":
            return _or(_as_vector(left), _as_vector(right), key)
        keep = modifier is not None and modifier.return_bool
        if name not in COMPARE and name not in ARITHMETIC:
            raise _unknown(f"operator {name}")
        if isinstance(left, float) and isinstance(right, float):
            result = _apply(name, left, right, left, as_bool=True)
            return math.nan if result is None else result
        pairs: list[tuple[Labels, float, float, float]]
        if isinstance(left, float):
            pairs = [(k, left, v, v) for k, v in _as_vector(right).items()]
        elif isinstance(right, float):
            pairs = [(k, v, right, v) for k, v in left.items()]
        else:
            pairs = _one_to_one(left, right, key, modifier)
        drops_name = name in ARITHMETIC or keep
        found: Vector = {}
        for labels, a, b, shown in pairs:
            value = _apply(name, a, b, shown, as_bool=keep)
            if value is not None:
                found[_nameless(labels) if drops_name else labels] = value
        return found

    def _scalar(self, node: Any) -> float:
        value = self.value(node)
        if not isinstance(value, float):
            raise ClientRejected("expected a scalar here, found an instant vector")
        return value

    def _vector(self, node: Any) -> Vector:
        return _as_vector(self.value(node))


def _modulo(a: float, b: float) -> float:
    return math.fmod(a, b) if b and not math.isinf(a) else math.nan


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)


def _power(a: float, b: float) -> float:
    try:
        result = a**b
    except (OverflowError, ZeroDivisionError):
        return math.inf
    return math.nan if isinstance(result, complex) else result


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _modulo,
    "^": _power,
}


def _apply(name: str, a: float, b: float, shown: float, *, as_bool: bool) -> float | None:
    if name in ARITHMETIC:
        return ARITHMETIC[name](a, b)
    true = COMPARE[name](a, b)
    if as_bool:
        return float(true)
    return shown if true else None


def _aggregate(name: str, values: list[float]) -> float:
    if name == "count":
        return float(len(values))
    if name in ("sum", "avg"):
        total = math.fsum(values) if all(map(math.isfinite, values)) else sum(values)
        return total / len(values) if name == "avg" else total
    numbers = [v for v in values if not math.isnan(v)]
    return (min(numbers) if name == "min" else max(numbers)) if numbers else math.nan


def _matching_key(modifier: Any) -> Callable[[Labels], Labels]:
    matching = modifier.matching if modifier is not None else None
    if matching is None:
        return _nameless
    names = set(matching.labels)
    if str(matching.type).endswith("Include"):
        return lambda labels: _only(labels, names)
    return lambda labels: _without(labels, names | {"__name__"})


def _one_to_one(
    left: Vector, right: Vector, key: Callable[[Labels], Labels], modifier: Any
) -> list[tuple[Labels, float, float, float]]:
    if modifier is not None and not str(modifier.card).endswith("OneToOne"):
        raise _unknown("group_left and group_right")
    if modifier is not None and modifier.fill_values is not None:
        fill = modifier.fill_values
        if fill.lhs is not None or fill.rhs is not None:
            raise _unknown("fill")
    others: dict[Labels, float] = {}
    for labels, value in right.items():
        if key(labels) in others:
            raise _several("right")
        others[key(labels)] = value
    pairs: dict[Labels, tuple[Labels, float, float, float]] = {}
    on = modifier is not None and modifier.matching is not None
    for labels, value in left.items():
        k = key(labels)
        if k not in others:
            continue
        if k in pairs:
            raise _several("left")
        pairs[k] = (k if on else labels, value, others[k], value)
    return list(pairs.values())


def _or(left: Vector, right: Vector, key: Callable[[Labels], Labels]) -> Vector:
    there = {key(labels) for labels in left}
    return {**left, **{k: v for k, v in right.items() if key(k) not in there}}


def _tests(selector: Any) -> dict[str, list[Test]]:
    if selector.offset is not None:
        raise _unknown("offset")
    if selector.at is not None:
        raise _unknown("the @ modifier")
    if selector.matchers.or_matchers:
        raise _unknown("or between matchers")
    tests: dict[str, list[Test]] = {}
    if selector.name:
        tests["__name__"] = [equals(selector.name)]
    for matcher in selector.matchers.matchers:
        kind = str(matcher.op).rpartition(".")[2]
        make = equals if kind in ("Equal", "NotEqual") else matches
        try:
            test = make(matcher.value, negate=kind.startswith("Not"))
        except re.error as e:
            raise ClientRejected(f'"{matcher.value}" is no regular expression: {e}') from e
        tests.setdefault(matcher.name, []).append(test)
    return tests


def _as_vector(value: Value) -> Vector:
    if isinstance(value, float):
        raise ClientRejected("expected an instant vector here, found a scalar")
    return value


def _nameless(labels: Labels) -> Labels:
    return _without(labels, {"__name__"})


def _only(labels: Labels, names: set[str]) -> Labels:
    return tuple(p for p in labels if p[0] in names)


def _without(labels: Labels, names: set[str]) -> Labels:
    return tuple(p for p in labels if p[0] not in names)


def _several(side: str) -> ClientRejected:
    return ClientRejected(
        f"several series on the {side} side match the same series: many-to-one matching is not known to the "
        "sandbox; aggregate first, or name the labels with on(…)"
    )


def _unknown(what: str) -> ClientRejected:
    return ClientRejected(
        f"the sandbox's PromQL has no {what}; it knows selectors, rate, increase, histogram_quantile, "
        "vector, scalar, sum/avg/min/max/count, arithmetic, comparisons and or. "
        "A Prometheus that scrapes /metrics knows all of it"
    )
