"""A Git server over HTTP: ``git http-backend``, Git's own, behind a server that asks for a login."""

from __future__ import annotations

import base64
import gzip
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.conftest import missing

LOGIN = "Basic " + base64.b64encode(b"bot:secret").decode()


class GitServer:
    """Serves the repositories below a folder. ``twist`` answers in Git's place when it returns True."""

    def __init__(self, root: Path) -> None:
        if shutil.which("git") is None:
            missing("git", "apt-get install -y git")
        self.login = ""
        self.asked: list[str] = []
        self.sent: list[str] = []
        self.twist: Callable[[BaseHTTPRequestHandler], bool] = lambda _: False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(f"{self.command} {self.path}")
                outer.sent.append(self.headers.get("Authorization") or "")
                if outer.twist(self):
                    return
                if outer.login and self.headers.get("Authorization") != outer.login:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                    self.end_headers()
                    return
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                run = subprocess.run(
                    ["git", "http-backend"],
                    input=body,
                    capture_output=True,
                    check=False,
                    env={
                        "PATH": os.environ["PATH"],
                        "GIT_PROJECT_ROOT": str(root),
                        "GIT_HTTP_EXPORT_ALL": "1",
                        "GIT_CONFIG_COUNT": "1",
                        "GIT_CONFIG_KEY_0": "safe.directory",
                        "GIT_CONFIG_VALUE_0": "*",
                        "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
                        "REQUEST_METHOD": self.command,
                        "PATH_INFO": path,
                        "QUERY_STRING": query,
                        "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                        "CONTENT_LENGTH": str(len(body)),
                    },
                )
                head, _, rest = run.stdout.partition(b"\r\n\r\n")
                said = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
                self.send_response(int(said.pop("Status", "200 OK").split()[0]))
                for name, value in said.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest)

            do_POST = do_GET  # noqa: N815 - the name is the protocol's

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
