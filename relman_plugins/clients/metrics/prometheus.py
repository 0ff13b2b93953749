"""Prometheus's HTTP query API: one number for one PromQL query.

Works with whatever speaks ``/api/v1/query`` and ``/api/v1/query_range``: Prometheus, Thanos, Mimir,
VictoriaMetrics, relman's sandbox. The shapes are those of https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from relman_plugins.clients.http import shown
from relman_plugins.clients.metrics.base import Answer, Question, fill, unshown
from relman_plugins.clients.metrics.series import taken
from relman_plugins.clients.metrics.web import WebSource, list_of, number_of, object_of
from relman_plugins.errors import ClientRejected, ClientUnavailable

STEP_S = 15.0
"""Seconds between two points of a series, or a twentieth of it if that is shorter."""

MOST_POINTS = 10_000
"""Points that are asked for at once; Prometheus refuses more than 11,000."""

_GET_LIMIT = 2000
_PINNED = re.compile(r"""\bversion\s*=\s*["']\$(?:version|\{version\})["']""")
_HARMLESS = "PromQL info:"


class Prometheus(WebSource):
    """A metrics server."""

    kind = "prometheus"
    path: ClassVar[str] = "api/v1/"
    """What the paths of its API begin with."""
    numeric: ClassVar[str] = "use rate(), increase() or max_over_time() on a range"
    """What makes a number of something else."""

    async def number(self, question: Question) -> Answer:
        """Ask for one number: as of the server's now, or of a series (see ``Source``).

        NaN, and no series at all, are no number. An answer in part (``warnings``, and ``isPartial`` of
        VictoriaMetrics) is an error: what lacks could be what is bad. So are a clock that is far from this
        machine's, and a series of another version.
        """
        promql = fill(question, lambda _, value: escaped(value), _window(question.window_s))
        if question.over_s is not None:
            return taken(await self._series(question, promql, question.over_s), question.take)
        sent = self.clock()
        data = await self._data(promql, "query", {"query": promql})
        kind, result = data.get("resultType"), data.get("result")
        if kind == "scalar":
            at, value = self._pair(result)
            self.in_time(at, sent)
            return _answered(value, question)
        if kind != "vector":
            raise ClientRejected(f"{promql!r} gives {_a(kind)}; expected one number: {self.numeric}")
        found = self._only(promql, question, list_of(result, self))
        if found is None:
            return _answered(None, question)
        at, value = self._pair(found.get("value"))
        self.in_time(at, sent)
        return _answered(value, question, is_nan=value is None)

    async def check(self) -> str:
        """Ask what needs no data."""
        if (await self.number(Question("vector(1)"))).value != 1:
            raise self.nonsense("it does not know that vector(1) is 1")
        return "The metrics server answers queries."

    def time(self, at: float) -> str:
        """Return a time as its parameters have it."""
        return f"{at:.3f}"

    async def _series(self, question: Question, promql: str, over_s: float) -> list[float | None]:
        """Ask for a series up to now, page by page; None where it has no point.

        Raises as ``number``.
        """
        step = max(1.0, min(STEP_S, over_s / 20))
        count = math.floor(over_s / step) + 1
        first = self.clock() - (count - 1) * step
        points: list[float | None] = [None] * count
        seen: Mapping[str, Any] | None = None
        for begin in range(0, count, MOST_POINTS):
            end = min(count, begin + MOST_POINTS) - 1
            fields = {"query": promql, "step": f"{step:g}"}
            fields |= {"start": self.time(first + begin * step), "end": self.time(first + end * step)}
            data = await self._data(promql, "query_range", fields)
            if data.get("resultType") != "matrix":
                raise self.nonsense(f"a range gives {_a(data.get('resultType'))}")
            found = self._only(promql, question, list_of(data.get("result"), self))
            if found is None:
                continue
            if seen not in (None, found["metric"]):
                raise _several(promql, [{"metric": seen}, found])
            seen = found["metric"]
            for pair in list_of(found.get("values", []), self):
                at, value = self._pair(pair)
                index = round((at - first) / step)
                if not begin <= index <= end or abs(at - first - index * step) > 0.1:
                    raise self.nonsense("a range has points of other times than were asked for")
                points[index] = value
        return points

    async def _data(self, promql: str, path: str, fields: Mapping[str, str]) -> Mapping[str, Any]:
        # GET passes through read-only proxies; a long query does not fit into an address.
        short = len(promql) <= _GET_LIMIT
        sent = {"params": fields} if short else {"data": fields}
        body = object_of(await self.asked("GET" if short else "POST", self.path + path, **sent), self)
        where = shown(self.address)
        if body.get("status") != "success":
            if "status" not in body:
                raise self.nonsense("it has no status")
            raise ClientRejected(
                f"{where} refused {promql!r}: {unshown(body.get('error', 'no reason given'))}"
            )
        told = [unshown(w) for w in body.get("warnings") or () if not str(w).startswith(_HARMLESS)]
        if body.get("isPartial"):
            # https://docs.victoriametrics.com/victoriametrics/cluster-victoriametrics/#cluster-availability
            told.append("isPartial: not all of its storage answered")
        if told:
            raise ClientUnavailable(
                f"{where} answers {promql!r} with a warning, perhaps only in part: {'; '.join(told[:3])}"
            )
        return object_of(body.get("data"), self)

    def _only(self, promql: str, question: Question, result: list[Any]) -> Mapping[str, Any] | None:
        """Return the one series of an answer; None when there is none."""
        if len(result) > 1:
            raise _several(promql, result)
        if not result:
            return None
        found = object_of(result[0], self)
        metric = object_of(found.get("metric"), self)
        if "histogram" in found or "histograms" in found:
            raise ClientRejected(
                f"{promql!r} gives a native histogram; expected one number: use histogram_quantile() or "
                "histogram_count()"
            )
        asked = {question.version, question.stable}
        version = metric.get("version")
        if version is not None and version not in asked and _PINNED.search(question.query):
            raise ClientUnavailable(
                f"{shown(self.address)} answers {promql!r} with a series of version "
                f"{unshown(version, 60)!r}, which was not asked for"
            )
        return found

    def _pair(self, found: object) -> tuple[float, float | None]:
        pair = list_of(found, self)
        if len(pair) != 2:
            raise self.nonsense("a sample is no pair of time and value")
        at = number_of(pair[0], self)
        if at is None or not math.isfinite(at):
            raise self.nonsense("a sample has no time")
        return at, number_of(pair[1], self)


def escaped(value: str) -> str:
    """Return a value that stays in the text of PromQL or LogQL that it stands in."""
    # Hexadecimal escapes are legal in single and in double quotes; \' and \" only in their own kind.
    return re.sub(r"[\\\"'`\n\r]", lambda m: f"\\x{ord(m[0]):02x}", value)


def _window(seconds: float | None) -> str | None:
    return None if seconds is None else f"{max(1, round(seconds * 1000))}ms"


def _answered(value: float | None, question: Question, *, is_nan: bool = False) -> Answer:
    if value is not None:
        return Answer(value)
    if is_nan:
        return Answer(None, "the value is NaN: nothing was divided by nothing, perhaps")
    if question.version and re.search(r"\$(version|\{version\})", question.query):
        told = f"no series of version {question.version} has a value: did it have requests, and does its "
        return Answer(None, told + "service give them that label?")
    return Answer(None, "no series has a value")


def _several(promql: str, result: list[Any]) -> ClientRejected:
    shown_ones = [_labels(r.get("metric", {}) if isinstance(r, dict) else {}) for r in result[:3]]
    names = "; ".join(shown_ones) + ("; …" if len(result) > 3 else "")
    return ClientRejected(
        f"{promql!r} gives {len(result)} series ({names}); expected one: "
        "wrap it in sum(…), max(…) or avg(…), or add matchers"
    )


def _labels(metric: object) -> str:
    pairs = sorted(metric.items()) if isinstance(metric, dict) else ()
    return unshown("{" + ", ".join(f'{k}="{v}"' for k, v in pairs) + "}", 120)


def _a(kind: object) -> str:
    return f"a {unshown(kind, 20)}" if isinstance(kind, str) and kind else "nothing known"
