"""Graphite's render API: https://graphite.readthedocs.io/en/latest/render_api.html."""

from __future__ import annotations

import math
import re

from relman_plugins.clients.metrics.base import Answer, Question, fill, period, unshown
from relman_plugins.clients.metrics.web import WebSource, list_of, object_of
from relman_plugins.errors import ClientRejected

_PLAIN = re.compile(r"[\w.+:-]*", re.ASCII)


class Graphite(WebSource):
    """A Graphite server, or what answers ``/render`` as it does."""

    kind = "graphite"

    async def number(self, question: Question) -> Answer:
        """Ask for the points of one target over the last ``over_s`` (or ``window_s``) seconds.

        A target that gives several series is an error, one that gives none no data.
        """
        target = fill(question, _plain)
        sent = self.clock()
        fields = {
            "target": target,
            "from": f"-{math.ceil(period(question))}s",
            "until": "now",
            "format": "json",
        }
        found = list_of(await self.asked("GET", "render", params=fields), self)
        if len(found) > 1:
            names = ", ".join(unshown(object_of(one, self).get("target"), 60) for one in found[:3])
            raise ClientRejected(
                f"{target!r} gives {len(found)} series ({names}); expected one: wrap it in sumSeries(…)"
            )
        if not found:
            return Answer(None, f"Graphite has no series for {target!r}")
        points = [list_of(p, self) for p in list_of(object_of(found[0], self).get("datapoints"), self)]
        pairs = [p[::-1] for p in points]
        return self.one_of(pairs, sent, question)

    async def check(self) -> str:
        """Ask for a constant."""
        fields = {"target": "constantLine(1)", "from": "-60s", "until": "now", "format": "json"}
        if not list_of(await self.asked("GET", "render", params=fields), self):
            raise self.nonsense("it knows no constant")
        return "Graphite answers."


def _plain(name: str, value: str) -> str:
    # A target has no way to escape anything in it.
    if not _PLAIN.fullmatch(value):
        raise ClientRejected(f"${name} has characters that a target of Graphite can't have as text")
    return value
