"""Runs the service on RELMAN_PORT until SIGTERM."""

from __future__ import annotations

import os
import signal
import threading

from checkout.server import serve


def main() -> None:
    """Serve."""
    server = serve(int(os.environ.get("RELMAN_PORT", "8080")))
    # shutdown() waits for the loop that the main thread runs, so another thread has to call it.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
