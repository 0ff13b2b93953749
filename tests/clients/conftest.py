"""A real Prometheus that scrapes itself, and servers that answer as told."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import missing

CONFIG = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["127.0.0.1:%d"]}]
"""


SERIES = (
    ("requests", "counter", 'version="1.0.0"', 10),
    ("requests", "counter", 'version="1.1.0"', 4),
    ("seconds", "histogram", 'version="1.1.0",le="0.1"', 1),
    ("seconds", "histogram", 'version="1.1.0",le="0.5"', 3),
    ("seconds", "histogram", 'version="1.1.0",le="+Inf"', 4),
)
"""Name, type and labels of what it has of the past twelve hours, and what each grows by in a second.

The old version ended an hour ago.
"""


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for name in ("prometheus", "promtool"):
        if shutil.which(name) is None:
            missing(name, "apt-get install prometheus")
    home: Path = tmp_path_factory.mktemp("prometheus")
    write_past(home)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (home / "prometheus.yml").write_text(CONFIG % port)
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=home, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, process, home / "log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def write_past(home: Path) -> None:
    """Write the samples of ``SERIES``, one a minute."""
    now, lines = int(time.time()), []
    for name, kind, labels, grows in SERIES:
        family = f"# TYPE {name} {kind}"
        lines += [family] if family not in lines else []
        suffix = "_bucket" if kind == "histogram" else "_total"
        end = now - 3600 if 'version="1.0.0"' in labels else now
        times = range(now - 43_200, end + 1, 60)
        lines += [f"{name}{suffix}{{{labels}}} {(at - now + 43_200) * grows} {at}" for at in times]
    (home / "samples.om").write_text("\n".join([*lines, "# EOF", ""]))
    create = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "samples.om", "data"]
    subprocess.run(create, cwd=home, check=True, capture_output=True)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until Prometheus has scraped itself once."""
    pause = threading.Event()
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(log.read_text())
        try:
            answer = httpx.get(f"{url}/api/v1/query", params={"query": "up == 1"}, trust_env=False).json()
            if answer["data"]["result"]:
                return
        except (httpx.HTTPError, ValueError, KeyError):
            pass
        pause.wait(0.1)
    raise AssertionError("Prometheus did not scrape itself within a minute:\n" + log.read_text())


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def serving() -> Iterator[Callable[[Answer], str]]:
    """Start a server that answers every request as the given function does; return its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            do_POST = do_GET  # noqa: N815 - the name is the protocol's

            def log_message(self, *args: Any) -> None:
                """Keep the tests' output clean."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
