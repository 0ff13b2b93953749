"""Servers that answer as the documentation of their kind says, and hold who asks to its words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.clients.metrics.asking import replying


class Asked:
    """A request, read completely."""

    def __init__(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        self.method, self.path = request.command, parts.path
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.raw = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.raw:
            request.headers.replace_header("Content-Length", "0")

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.raw.decode()).items()}


Reply = Callable[[Asked], Any]


class Vendor:
    """A server; ``body`` is what it answers, or what makes an answer of a request."""

    def __init__(self, body: Any) -> None:
        self.body = body
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[Asked] = []

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        asked = Asked(request)
        self.asked.append(asked)
        body = self.body(asked) if callable(self.body) else self.body
        replying(body, self.status, **self.headers)(request)

    @property
    def last(self) -> Asked:
        return self.asked[-1]


def minutes(*values: Any, factor: float = 1, swapped: bool = False) -> list[list[Any]]:
    """Return a point a minute up to now, as pairs of time and value, or the other way round."""
    now = int(time.time())
    pairs = [[(now - 60 * (len(values) - 1 - n)) * factor, v] for n, v in enumerate(values)]
    return [pair[::-1] for pair in pairs] if swapped else pairs


def graphite(*values: Any) -> Any:
    return [{"target": "x", "tags": {}, "datapoints": minutes(*values, swapped=True)}]


def influx(*rows: Any, columns: tuple[str, ...] = ("time", "sum"), **more: Any) -> Any:
    series = [{"name": "requests", "columns": list(columns), "values": list(rows)}] if rows else []
    return {"results": [{"statement_id": 0, **({"series": series} if series else {}), **more}]}


def datadog(*values: Any, **more: Any) -> Any:
    series = [{"metric": "requests", "scope": "version:1.1.0", "pointlist": minutes(*values, factor=1000)}]
    return {"status": "ok", "res_type": "time_series", "series": series, **more}


def nerdgraph(*results: Any) -> Any:
    return {"data": {"actor": {"account": {"nrql": {"results": list(results)}}}}}


def cloudwatch(*values: float, status: str = "Complete", **more: Any) -> Any:
    times, found = zip(*minutes(*values), strict=True) if values else ((), ())
    result = {"Id": "number", "Label": "x", "Timestamps": times, "Values": found, "StatusCode": status}
    return {"MetricDataResults": [result], "Messages": [], **more}
