"""A sandbox daemon as a process, and how to ask it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.platforms import archive
from relman_plugins.platforms.registry import platform
from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[2] / "examples" / "checkout"
COMMAND = [sys.executable, "-m", "relman_plugins.platforms.sandbox"]
BASKET = {"items": [{"article": "mug", "quantity": 2}], "country": "DE"}


def call(
    url: str, body: Any = None, method: str | None = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Return status, JSON (or text) and headers of one request."""
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers.setdefault("Content-Type", "application/json")
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, raw, back = answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as e:
        status, raw, back = e.code, e.read(), dict(e.headers)
    try:
        return status, json.loads(raw), back
    except ValueError:
        return status, raw.decode(), back


def uncounted(seen: ObservedState) -> ObservedState:
    """Leave out how much was served: it grows between two looks at the same state."""
    return seen.model_copy(update={"served": {}})


class Daemon:
    """A daemon process in a home."""

    def __init__(self, home: Path, *options: str, token: str = "") -> None:
        self.home = home
        self.options = options
        self.token = token
        self.start()

    def start(self) -> None:
        ready = self.home.with_suffix(".ready")
        ready.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [*COMMAND, "--home", str(self.home), "--ready-file", str(ready), *self.options],
            env=os.environ | {"RELMAN_SANDBOX_TOKEN": self.token},
        )
        eventually(lambda: ready.exists() or self.process.poll() is not None, "the daemon is ready")
        self.urls = json.loads(ready.read_text())
        self.driver = platform("sandbox", port=int(self.urls["control_url"].rpartition(":")[2]))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        self.process.terminate()
        return self.process.wait(20)

    def converge(
        self, environment: str, token: int = 1, timeout_s: float = 30, **fields: Any
    ) -> ObservedState:
        desired = DesiredState(**fields)
        return uncounted(
            self.driver.converge(environment, "checkout", desired, token=token, timeout_s=timeout_s)
        )

    def observe(self, environment: str) -> ObservedState:
        return uncounted(self.driver.observe(environment, "checkout"))

    def counted(self, environment: str) -> dict[str, int]:
        return self.driver.observe(environment, "checkout").served

    def replicas(self, environment: str | None = None) -> dict[int, dict[str, str]]:
        """Environment variables of the living replicas' processes, by process id."""
        found = {}
        for process in psutil.process_iter():
            try:
                env = process.environ()
                dead = process.status() == psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if env.get("RELMAN_SANDBOX_HOME") == str(self.home.resolve()) and not dead:
                found[process.pid] = env
        return {p: e for p, e in found.items() if environment in (None, e["RELMAN_ENVIRONMENT"])}

    def served(self, url: str, requests: int, path: str = "/healthz") -> Counter[str]:
        """Send requests one after the other; count the versions that answered, and failures."""
        count: Counter[str] = Counter()
        for _ in range(requests):
            status, _, headers = call(url + path)
            count[headers.get("X-Relman-Version", "none") if status == 200 else str(status)] += 1
        return count

    def query(self, promql: str) -> Any:
        quoted = urllib.parse.quote(promql)
        return call(f"{self.urls['metrics_url']}/api/v1/query?query={quoted}")[1]


EXPOSED = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(
            {"version": os.environ["RELMAN_VERSION"], "digest": os.environ["RELMAN_DIGEST"]}).encode())
http.server.HTTPServer((HOST, int(os.environ["RELMAN_PORT"])), Handler).serve_forever()
"""
"""A program for `made`; HOST is where it listens."""


def made(tmp_path: Path, version: str, program: str, manifest: str | None = None) -> Revision:
    """Return an artifact whose program is a few lines of Python."""
    folder = tmp_path / version
    folder.mkdir()
    (folder / "main.py").write_text(program)
    (folder / "relman.json").write_text(manifest or '{"command": ["python", "main.py"]}')
    return archive.pack(folder, tmp_path / "store").revision(version)
