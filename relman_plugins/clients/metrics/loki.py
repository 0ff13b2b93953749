"""Loki's HTTP query API: numbers that LogQL makes of log lines, such as how many errors a version logged.

The shapes are Prometheus's, under ``/loki/api/v1``: https://grafana.com/docs/loki/latest/reference/loki-http-api/.
"""

from __future__ import annotations

from relman_plugins.clients.metrics.prometheus import Prometheus
from relman_plugins.clients.metrics.web import object_of


class Loki(Prometheus):
    """A server of logs. Lines are no number: a query has to count or aggregate them."""

    kind = "loki"
    path = "loki/api/v1/"
    numeric = "use count_over_time() or rate() on the lines, and sum(…) over them"

    async def check(self) -> str:
        """Ask what labels there are."""
        body = object_of(await self.asked("GET", self.path + "labels"), self)
        if body.get("status") != "success":
            raise self.nonsense("it has no status")
        return "Loki answers queries."

    def time(self, at: float) -> str:
        """Return a time in nanoseconds, as its parameters have it."""
        return str(round(at * 1000) * 1_000_000)
