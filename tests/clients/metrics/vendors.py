"""Servers that answer as the documentation of their kind says, and hold who asks to its words."""

from __future__ import annotations

import json
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
