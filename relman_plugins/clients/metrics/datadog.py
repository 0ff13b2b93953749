"""Datadog's API for points of a metric: https://docs.datadoghq.com/api/latest/metrics/query-timeseries-points/."""

from __future__ import annotations

import re
from typing import Any

from relman_plugins.clients.metrics.base import Access, Answer, Question, fill, period, unshown
from relman_plugins.clients.metrics.web import WebSource, list_of, number_of, object_of
from relman_plugins.errors import ClientRejected

_TAG = re.compile(r"[\w.:/+-]*")


class Datadog(WebSource):
    """A site of Datadog.

    The connection's password is an application key, ``api_key`` of its extra field an API key.
    """

    kind = "datadog"
    rest_header = "x-ratelimit-reset"

    def signs_in(self, access: Access) -> dict[str, str]:
        """Sign in by both keys."""
        return {
            "DD-API-KEY": str(access.extra.get("api_key") or ""),
            "DD-APPLICATION-KEY": access.password,
        }

    def auth(self, access: Access) -> None:
        """Datadog knows no basic authentication."""

    async def number(self, question: Question) -> Answer:
        """Ask for the points of one query over the last ``over_s`` (or ``window_s``) seconds.

        Several series are an error, none is no data. The points must lie in the time that was asked for.
        """
        query = fill(question, _tag)
        now = self.clock()
        fields = {"query": query, "from": str(int(now - period(question))), "to": str(int(now))}
        body = object_of(await self.asked("GET", "api/v1/query", params=fields), self)
        if body.get("status") != "ok":
            raise ClientRejected(
                f"Datadog refused {query!r}: {unshown(body.get('error') or 'no reason given')}"
            )
        series = [object_of(one, self) for one in list_of(body.get("series"), self)]
        if len(series) > 1:
            scopes = ", ".join(unshown(one.get("scope"), 60) for one in series[:3])
            raise ClientRejected(
                f"{query!r} gives {len(series)} series ({scopes}); expected one: leave out by {{…}}"
            )
        if not series:
            return Answer(None, f"Datadog has no points for {query!r}")
        pairs = [self._pair(point) for point in list_of(series[0].get("pointlist"), self)]
        interval = number_of(series[0].get("interval"), self)
        return self.one_of(pairs, now, question, interval or 0.0)

    async def check(self) -> str:
        """Ask for a query that needs no data, as both keys are needed for it."""
        now = self.clock()
        fields = {"query": "avg:system.load.1{*}", "from": str(int(now - 60)), "to": str(int(now))}
        if object_of(await self.asked("GET", "api/v1/query", params=fields), self).get("status") != "ok":
            raise self.nonsense("it does not say that it is well")
        return "Datadog answers queries."

    def _pair(self, point: Any) -> tuple[float, Any]:
        pair = list_of(point, self)
        at = number_of(pair[0], self) if len(pair) == 2 else None
        if at is None:
            raise self.nonsense("a point is no pair of time and value")
        return at / 1000, pair[1]


def _tag(name: str, value: str) -> str:
    # Tags are of these characters; others can't be escaped in a query.
    if not _TAG.fullmatch(value):
        raise ClientRejected(f"${name} has characters that no tag of Datadog has")
    return value
