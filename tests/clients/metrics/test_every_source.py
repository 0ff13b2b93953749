"""What holds for every source asked over HTTP: its check, its clock, and answers that are nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from relman_plugins.clients.metrics.base import Access, Question
from relman_plugins.clients.metrics.registry import source
from relman_plugins.errors import ClientError, ClientUnavailable
from tests.clients.metrics.asking import ask, vector
from tests.clients.metrics.vendors import Vendor, cloudwatch, datadog, graphite, influx, nerdgraph

Serving = Callable[..., str]

# Answers are made when they are asked for: the newest point of some is the moment at which they are made.
GOOD: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "graphite": (lambda: graphite(1, 2), {}),
    "influxdb": (lambda: influx([1, 2]), {"extra": {"database": "x"}}),
    "datadog": (lambda: datadog(1, 2), {}),
    "newrelic": (lambda: nerdgraph({"a": 1}), {"extra": {"account_id": 1}}),
    "cloudwatch": (lambda: cloudwatch(1), {"auth": ("a", "b"), "extra": {"region_name": "eu-central-1"}}),
    "elasticsearch": (lambda: {"count": 1, "_shards": {"total": 1, "failed": 0}, "version": {}}, {}),
    "loki": (lambda: {"status": "success", "data": []}, {}),
}


@pytest.mark.parametrize("kind", GOOD)
def test_the_check_of_each_asks_something_that_works(kind: str, serving: Serving) -> None:
    good, access = GOOD[kind]
    server = Vendor(good())
    url = serving(server)

    async def checked() -> str:
        client = source(kind, Access(url, **access))
        try:
            return await client.check()
        finally:
            await client.aclose()

    assert asyncio.run(checked()).endswith((".",))
    for lie in (b"<html>", [], {}, {"status": "down"}):
        server.body = lie
        if kind == "cloudwatch" and isinstance(lie, dict):
            continue
        with pytest.raises(ClientError):
            asyncio.run(checked())


@pytest.mark.parametrize("kind", [*(k for k in GOOD if k != "loki"), "prometheus"])
@pytest.mark.parametrize(("date", "said"), [("Thu, 26 Nov 2020 08:00:00 GMT", "behind"), ("x", ""), ("", "")])
def test_a_server_whose_clock_is_far_off_has_no_numbers(
    kind: str, date: str, said: str, serving: Serving
) -> None:
    good, access = GOOD.get(kind, (lambda: vector(1), {}))
    query = {"elasticsearch": "logs-* a:b", "influxdb": "SELECT 1"}.get(kind, "x")
    server = Vendor(good())
    server.headers = {"Date": date}
    question = Question(query, over_s=None if kind == "prometheus" else 60)
    url = serving(server)
    if not said:
        assert ask(kind, url, question, **access).value is not None
        return
    with pytest.raises(ClientUnavailable, match=f"the clock of .* is .* {said} this machine's"):
        ask(kind, url, question, **access)
    server.headers |= {"Age": "3600"}
    assert ask(kind, url, question, **access).value is not None


@pytest.mark.parametrize("kind", [k for k in GOOD if k != "loki"])
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"5", b'"x"', b"[[[]]]", b'{"series": 5}', b'{"results": {}}', b"[" * 50_000, b"\xff"],
)
def test_nonsense_is_never_a_number(kind: str, body: bytes, serving: Serving) -> None:
    access = GOOD[kind][1]
    query = {"elasticsearch": "logs-* a:b", "influxdb": "SELECT 1"}.get(kind, "x")
    with pytest.raises(ClientError):
        ask(kind, serving(Vendor(body)), Question(query, over_s=60), **access)
