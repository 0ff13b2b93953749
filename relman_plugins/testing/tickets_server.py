"""What the small ticket systems of this room share: an HTTP server that can be told to misbehave."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class TicketsServer(ABC):
    """The server; a context manager. Subclasses say what is done and answered."""

    def __init__(self, user: str, password: str) -> None:
        self.asked: list[tuple[str, str]] = []
        """Method and path with query of each request."""
        self.always: Answer | None = None
        """What is answered to everything while it is set."""
        self.lost: list[Answer] = []
        """What is answered instead to the next requests that write, the first one first: they are done."""
        self._login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._lock = Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._serve(self)

            do_POST = do_PATCH = do_GET  # noqa: N815 - the names are the protocol's

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @abstractmethod
    def done(self, method: str, path: str, body: bytes) -> Answer:
        """Do what a request with the right login asks for, and answer it."""

    @abstractmethod
    def refused(self) -> Answer:
        """Answer a request without the right login."""

    def wrote(self, method: str = "POST") -> list[str]:
        """Return the paths of the requests with a method, in order."""
        return [path for asked, path in self.asked if asked == method]

    def __enter__(self) -> Self:
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            self.asked.append((request.command, request.path))
            status, headers, answer = self._answer(request, body)
        request.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        if self.always is not None:
            return self.always
        if request.headers.get("Authorization") != self._login:
            return self.refused()
        answer = self.done(request.command, request.path, body)
        return self.lost.pop(0) if self.lost and request.command != "GET" else answer


def html(status: int = 200) -> Answer:
    """Return the page of an instance that sleeps, or of a proxy."""
    return status, {"Content-Type": "text/html"}, b"<html><body>Your instance is hibernating.</body></html>"
