"""Sources of numbers, asked as a release asks them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from relman_plugins.clients.metrics.base import Access, Answer, Question
from relman_plugins.clients.metrics.registry import source


def ask(kind: str, url: str, query: str | Question, **access: Any) -> Answer:
    """Ask a source one question, on a loop of its own."""
    question = query if isinstance(query, Question) else Question(query)

    async def asked() -> Answer:
        client = source(kind, Access(url, **access))
        try:
            return await client.number(question)
        finally:
            await client.aclose()

    return asyncio.run(asked())


def replying(body: Any, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer every request with this: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        # What was sent is read first: a connection that is closed before loses the answer.
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if "Date" in headers:
            request.send_response_only(status)
        else:
            request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(raw)))
        request.end_headers()
        request.wfile.write(raw)

    return answer


def vector(*values: Any, **labels: str) -> dict[str, Any]:
    """Return Prometheus's answer with one series for each value, as of now."""
    found = [{"metric": labels, "value": [time.time(), str(v)]} for v in values]
    return {"status": "success", "data": {"resultType": "vector", "result": found}}
