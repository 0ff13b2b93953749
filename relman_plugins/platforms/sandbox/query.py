"""Prometheus's two query endpoints, over the daemon's own samples."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from relman_plugins.errors import ClientRejected
from relman_plugins.platforms.sandbox import promql
from relman_plugins.platforms.sandbox.metrics import Labels, Metrics
from relman_plugins.platforms.sandbox.samples import INTERVAL_S, Samples

MAX_POINTS = 11_000
"""Most points of one series in a range; Prometheus's own limit."""


async def keep_sampling(samples: Samples, metrics: Metrics) -> None:
    """Sample all metrics for ever."""
    while True:
        samples.take(time.time(), metrics.series())
        await asyncio.sleep(INTERVAL_S)


def add_routes(app: web.Application, samples: Samples) -> None:
    """Add `/api/v1/query` and `/api/v1/query_range`, GET and POST, as Prometheus has them."""

    async def instant(request: web.Request) -> web.StreamResponse:
        return await _answer(request, lambda p: _instant(samples, p))

    async def ranged(request: web.Request) -> web.StreamResponse:
        return await _answer(request, lambda p: _range(samples, p))

    for path, handler in (("/api/v1/query", instant), ("/api/v1/query_range", ranged)):
        app.router.add_get(path, handler)
        app.router.add_post(path, handler)


async def _answer(
    request: web.Request, work: Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]
) -> web.StreamResponse:
    params = {**request.query, **{k: v for k, v in (await request.post()).items() if isinstance(v, str)}}
    try:
        return web.json_response({"status": "success", "data": await work(params)})
    except ClientRejected as e:
        body = {"status": "error", "errorType": "bad_data", "error": str(e)}
        return web.json_response(body, status=400)


async def _instant(samples: Samples, params: Mapping[str, str]) -> dict[str, Any]:
    at = _time(params, "time", time.time())
    value = promql.evaluate(samples, promql.parse(_required(params, "query")), at)
    if isinstance(value, float):
        return {"resultType": "scalar", "result": [at, _text(value)]}
    result = [{"metric": dict(k), "value": [at, _text(v)]} for k, v in sorted(value.items())]
    return {"resultType": "vector", "result": result}


async def _range(samples: Samples, params: Mapping[str, str]) -> dict[str, Any]:
    start, end = (_time(params, name, None) for name in ("start", "end"))
    step = _step(_required(params, "step"))
    if end < start:
        raise ClientRejected('invalid parameter "end": end timestamp must not be before start time')
    if (end - start) / step > MAX_POINTS:
        raise ClientRejected(f"more than {MAX_POINTS} points per series; choose a larger step")
    tree = promql.parse(_required(params, "query"))
    found: dict[Labels, list[tuple[float, str]]] = {}
    for i in range(math.floor((end - start) / step) + 1):
        at = start + i * step
        value = promql.evaluate(samples, tree, at)
        for labels, number in ({(): value} if isinstance(value, float) else value).items():
            found.setdefault(labels, []).append((at, _text(number)))
        # The traffic goes through the same process: no query may keep it waiting for long.
        await asyncio.sleep(0)
    return {
        "resultType": "matrix",
        "result": [{"metric": dict(k), "values": v} for k, v in sorted(found.items())],
    }


def _required(params: Mapping[str, str], name: str) -> str:
    if not params.get(name):
        raise ClientRejected(f'invalid parameter "{name}": it is missing')
    return params[name]


def _time(params: Mapping[str, str], name: str, default: float | None) -> float:
    text = params.get(name)
    if text is None and default is not None:
        return default
    text = _required(params, name)
    try:
        at = float(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text).timestamp()
        except ValueError as e:
            raise ClientRejected(f'invalid parameter "{name}": cannot parse "{text}" to a timestamp') from e
    if not math.isfinite(at):
        raise ClientRejected(f'invalid parameter "{name}": cannot parse "{text}" to a timestamp')
    return at


def _step(text: str) -> float:
    import promql_parser

    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = promql_parser.parse_duration(text).total_seconds()
        except ValueError as e:
            raise ClientRejected(f'invalid parameter "step": cannot parse "{text}" to a duration') from e
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ClientRejected('invalid parameter "step": expected a duration above zero')
    return seconds


def _text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    # Python turns to exponents earlier than Prometheus does.
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")
