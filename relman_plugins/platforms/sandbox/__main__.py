"""`python -m relman_plugins.platforms.sandbox`: run the daemon, or stop everything it started.

Exit codes: 0 stopped as asked, 2 usage, 3 the home is taken, its state unreadable, a port in use, or
an address beyond loopback without a token.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.sandbox import daemon
from relman_plugins.platforms.sandbox.home import Home
from relman_plugins.platforms.sandbox.reach import TOKEN, Reach


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m relman_plugins.platforms.sandbox", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="directory for state, artifacts and logs")
    parser.add_argument(
        "--port", type=int, default=0, help="control port (default: last time's, or a free one)"
    )
    parser.add_argument("--front-port", type=int, default=0, help="front door's port (default: likewise)")
    parser.add_argument(
        "--listen", default="127.0.0.1", help=f"address of both ports; beyond loopback it takes {TOKEN}"
    )
    parser.add_argument(
        "--name", default="", help="host name by which others reach it (default: the address)"
    )
    parser.add_argument(
        "--ready-file", type=Path, help="JSON with the addresses, written when requests are served"
    )
    parser.add_argument(
        "--stop-all", action="store_true", help="end the daemon of --home and all its replicas"
    )
    args = parser.parse_args()
    home = Home(args.home.resolve())
    if args.stop_all:
        sys.stdout.write(f"ended {daemon.stop_all(home)} processes of {home.root}\n")
        return 0
    try:
        reach = Reach(args.listen, args.name, os.environ.get(TOKEN, ""))
        lock = home.lock()
        asyncio.run(daemon.run(home, args.port, args.front_port, args.ready_file, reach))
        os.close(lock)
    except PlatformRejected as e:
        sys.stderr.write(f"error: {e}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
