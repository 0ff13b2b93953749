"""The HTTP side: `/healthz`, `/articles`, `POST /quote`, `POST /checkout`."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from checkout import payments, pricing
from checkout._version import VERSION

MAX_BODY = 64 * 1024


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    # Headers and body leave in one packet; without this, each answer waits for a delayed acknowledgement.
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    processor = payments.Processor()

    def do_GET(self) -> None:
        """Answer a GET."""
        if self.path == "/healthz":
            self._answer(
                200, {"status": "ok", "version": VERSION, "digest": os.environ.get("RELMAN_DIGEST", "")}
            )
        elif self.path == "/articles":
            self._answer(200, {"articles": pricing.CATALOGUE, "countries": sorted(pricing.TAX)})
        else:
            self._answer(404, {"error": f"nothing at {self.path}"})

    def do_POST(self) -> None:
        """Answer a POST."""
        body = self._body()
        if self.path not in ("/quote", "/checkout"):
            self._answer(404, {"error": f"nothing at {self.path}"})
            return
        if body is None:
            self._answer(400, {"error": f"expected a JSON object of at most {MAX_BYTES_TEXT}"})
            return
        try:
            quote = pricing.price(body.get("items", []), str(body.get("country", "DE")))
            if self.path == "/quote":
                self._answer(200, quote)
            else:
                self._answer(201, {**quote, "payment": self.processor.pay(quote["total"])})
        except pricing.InvalidError as e:
            self._answer(422, {"error": str(e)})
        except payments.UnavailableError as e:
            self._answer(503, {"error": str(e)})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing for each request unless the environment asks for it."""
        if os.environ.get("LOG_LEVEL") == "debug":
            super().log_message(format, *args)

    def _body(self) -> dict[str, Any] | None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            return None
        try:
            body = json.loads(self.rfile.read(length))
        except ValueError:
            return None
        return body if isinstance(body, dict) and _is_basket(body.get("items", [])) else None

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


MAX_BYTES_TEXT = f"{MAX_BODY // 1024} KiB, its items objects"


def _is_basket(items: object) -> bool:
    return isinstance(items, list) and all(isinstance(i, dict) for i in items)


class Server(ThreadingHTTPServer):
    """Serves on loopback only."""

    daemon_threads = True
    request_queue_size = 128


def serve(port: int) -> Server:
    """Return a server that listens on a loopback port."""
    return Server(("127.0.0.1", port), Handler)
