"""Talks to a running service at RELMAN_BASE_URL."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any


def call(method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of one request."""
    base = os.environ["RELMAN_BASE_URL"].rstrip("/")
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        base + path, data=data, method=method, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)
