"""A Slack workspace on loopback: speaks the Web API over HTTP, enforces its limits, keeps what was said.

``python -m relman_plugins.testing.slack --port 0 --ready-file F --store S`` serves until it is told to stop,
and writes ``{"base_url", "url", "pid"}`` to F once it takes connections. ``base_url`` is what
``slack_sdk.WebClient(base_url=…)`` and the ``base_url`` extra of a Slack connection take. In a test,
``with SlackServer() as slack`` does the same in a thread. See ``slack_api`` for faults and the transcript.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn

from relman_plugins.testing.slack_api import TOKEN, Fault, SlackApi
from relman_plugins.testing.slack_interactive import PATIENCE_S, SECRET
from relman_plugins.testing.slack_store import Message, Store, channel_id, plain, render_transcript

__all__ = ["SECRET", "TOKEN", "SlackServer", "channel_id", "main", "plain", "render_transcript"]

CHANNELS = ("rel-checkout", "releases")
"""The channels there are when none are named."""


class SlackServer:
    """A Slack workspace in this process, for tests: a context manager that serves in a thread."""

    def __init__(
        self,
        channels: Iterable[str] = CHANNELS,
        *,
        store: Path | None = None,
        founds: bool = False,
        token: str = TOKEN,
        rate: float = 1000.0,
        burst: int = 1000,
        port: int = 0,
        secret: str = SECRET,
        interactivity: str = "",
        commands: str = "",
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Bind the port (0: a free one) and open the store; the arguments are those of both."""
        self.api = SlackApi(Store(channels, store, founds=founds), token=token, rate=rate, burst=burst)
        self.interactive = self.api.interactive
        """Its members, who press buttons and type; ``url`` and ``commands`` are where that goes."""
        self.interactive.secret, self.interactive.url = secret, interactivity
        self.interactive.commands = commands
        self.interactive.patience_s = patience_s
        self._socket = _bound(port)
        self._server = uvicorn.Server(_config(self.api))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self.url = _url(self._socket)
        """Address of the server."""
        self.base_url = f"{self.url}/api/"
        """Address of the API, as slack_sdk takes it."""

    def fault(self, kind: str, count: int = 1, method: str | None = None, seconds: float = 30.0) -> None:
        """Let the next ``count`` calls go wrong; see ``slack_api`` for the kinds."""
        self.api.faults.append(Fault(kind, count, method, seconds))

    def messages(self, channel: str = CHANNELS[0]) -> list[Message]:
        """Return everything that was said in a channel, oldest first."""
        wanted = channel_id(channel)
        return next((c["messages"] for c in self.api.store.transcript() if c["id"] == wanted), [])

    def transcript(self) -> str:
        """Return what a reader sees."""
        return render_transcript(self.api.store.transcript())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        # Calls that hang on purpose are not waited for.
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=10)
        self._socket.close()


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m relman_plugins.testing.slack", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="written when the server takes connections")
    parser.add_argument("--store", type=Path, help="file of JSON lines that keeps the messages")
    parser.add_argument("--channel", action="append", help="a channel that exists; may be repeated")
    parser.add_argument("--founds", action="store_true", help="any channel that is asked for is made")
    parser.add_argument("--token", default=TOKEN, help="the token that is accepted")
    parser.add_argument("--signing-secret", default=SECRET, help="what presses are signed with")
    parser.add_argument("--interactivity-url", default="", help="where presses go")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, help="seconds that a press waits")
    parser.add_argument("--rate", type=float, default=1.0, help="messages a second and channel")
    parser.add_argument("--burst", type=int, default=20, help="messages that may come at once")
    given = parser.parse_args(argv)
    store = Store(given.channel or CHANNELS, given.store, founds=given.founds)
    listening = _bound(given.port)
    if given.ready_file:
        url = _url(listening)
        _write(given.ready_file, {"base_url": f"{url}/api/", "url": url, "pid": os.getpid()})
    api = SlackApi(store, token=given.token, rate=given.rate, burst=given.burst)
    api.interactive.secret, api.interactive.url = given.signing_secret, given.interactivity_url
    api.interactive.patience_s = given.patience
    uvicorn.Server(_config(api)).run([listening])
    return 0


def _config(api: SlackApi) -> uvicorn.Config:
    return uvicorn.Config(api.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)


def _bound(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    # From here on connections are queued, so that nobody has to wait until the server runs.
    listening.listen(128)
    return listening


def _url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def _write(path: Path, content: dict[str, Any]) -> None:
    unready = path.with_name(path.name + ".tmp")
    unready.write_text(json.dumps(content), encoding="utf-8")
    unready.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
