"""Sources that list only the points they have: what has ended is not now; what is older was not asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from relman_plugins.clients.metrics.base import Question
from relman_plugins.errors import ClientUnavailable
from tests.clients.metrics.asking import ask
from tests.clients.metrics.vendors import Vendor, datadog

Serving = Callable[..., str]


def ago(*minutes: float) -> list[float]:
    now = time.time()
    return [now - 60 * m for m in minutes]


def datadogs(times: list[float], **more: Any) -> Any:
    return datadog() | {"series": [{"pointlist": [[1000 * at, 5] for at in times], **more}]}


def cloudwatchs(times: list[float]) -> Any:
    found = {"StatusCode": "Complete", "Timestamps": times, "Values": [5] * len(times)}
    return {"MetricDataResults": [found]}


def graphites(times: list[float]) -> Any:
    return [{"target": "x", "datapoints": [[5, at] for at in times]}]


SPARSE: dict[str, tuple[Callable[[list[float]], Any], dict[str, Any]]] = {
    "datadog": (datadogs, {}),
    "cloudwatch": (cloudwatchs, {"auth": ("a", "b"), "extra": {"region_name": "eu-central-1"}}),
    "graphite": (graphites, {}),
}
"""Sources that may list only the points they have, and all of which have the value 5."""


@pytest.mark.parametrize("kind", SPARSE)
def test_a_series_that_has_ended_is_not_now(kind: str, serving: Serving) -> None:
    body, access = SPARSE[kind]
    server = Vendor([])
    url = serving(server)
    asked = Question("x", over_s=3600, take="last")
    for times in (ago(58, 57), ago(58), ago(40, 39, 16)):
        server.body = body(times)
        assert "old: the series has ended" in ask(kind, url, asked, **access).nothing
        count = asked._replace(take="sum")
        assert ask(kind, url, count, **access).value == 5 * len(times)
    for times in (ago(58, 14), ago(14), ago(45, 25), ago(60.4, 1), ago(80, 50, 20)):
        server.body = body(times)
        assert ask(kind, url, asked, **access).value == 5
    for times in (ago(25 * 60), ago(25 * 60, 1.5 * 60), ago(70, 2, 1), ago(62)):
        server.body = body(times)
        with pytest.raises(ClientUnavailable, match="a point lies before the time that was asked for"):
            ask(kind, url, asked, **access)


def test_a_point_of_datadog_stands_for_its_interval(serving: Serving) -> None:
    server = Vendor(datadogs(ago(50), interval=3600))
    assert ask("datadog", serving(server), Question("x", over_s=3600, take="last")).value == 5
