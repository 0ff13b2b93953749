"""The daemon: puts the parts together and runs until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

from aiohttp import web

from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.sandbox import control, process, query, state
from relman_plugins.platforms.sandbox.counters import Counters
from relman_plugins.platforms.sandbox.front import FrontDoor, make_request
from relman_plugins.platforms.sandbox.home import Home, write_json
from relman_plugins.platforms.sandbox.metrics import Metrics
from relman_plugins.platforms.sandbox.reach import Reach
from relman_plugins.platforms.sandbox.replica import TERM_S
from relman_plugins.platforms.sandbox.samples import Samples
from relman_plugins.platforms.sandbox.supervisor import Supervisor

DAEMON_END_S = 10.0
"""How long a daemon may take to end its replicas."""


async def run(home: Home, port: int, front_port: int, ready_file: Path | None, reach: Reach) -> None:
    """Run until SIGTERM or SIGINT; then end all replicas.

    Args:
        home: The daemon's directory; this process must hold its lock.
        port: Control port; 0 is the one of last time, or a free one.
        front_port: Port of the front door; likewise.
        ready_file: Written when requests are served: ``{control_url, front_url, metrics_url, pid}``.
        reach: Where to listen, and for whom.

    Raises:
        PlatformRejected: The state cannot be read, or a port is taken.
    """
    memory = state.load(home.state)
    control_socket = _listen(reach.listen, port, memory.control_port)
    front_socket = _listen(reach.listen, front_port, memory.front_port)
    memory.control_port, memory.front_port = (s.getsockname()[1] for s in (control_socket, front_socket))

    metrics = Metrics(Counters(home.counters))
    supervisor = Supervisor(home, memory, metrics)
    metrics.deployments = supervisor.deployments
    supervisor.front_url = f"http://{reach.host}:{memory.front_port}"
    supervisor.restore()
    supervisor.save()

    front = FrontDoor(supervisor.deployments, metrics)
    app = web.Application(middlewares=[control.guard(reach)], client_max_size=1024 * 1024)
    control.add_routes(app, supervisor)
    samples = Samples()
    query.add_routes(app, samples)
    sampling = asyncio.create_task(query.keep_sampling(samples, metrics))
    runners: list[web.BaseRunner] = [
        web.ServerRunner(web.Server(front.handle, request_factory=make_request, access_log=None)),
        web.AppRunner(app, access_log=None),
    ]
    for runner, sock in zip(runners, (front_socket, control_socket), strict=True):
        await runner.setup()
        await web.SockSite(runner, sock, backlog=512).start()
    if ready_file is not None:
        control_url = f"http://{reach.host}:{memory.control_port}"
        urls = {"control_url": control_url, "front_url": supervisor.front_url, "metrics_url": control_url}
        write_json(ready_file, {**urls, "pid": os.getpid()})
    await _until_told()
    sampling.cancel()
    for runner in runners:
        await runner.cleanup()
    await supervisor.stop()
    await front.close()


def stop_all(home: Home) -> int:
    """End the daemon of a home and every process it started; return how many there were.

    Works whether or not the daemon lives. What should run stays written down.
    """
    daemon = home.owner()
    found = [pid for pid, _ in process.find(home.root)]
    if daemon is not None:
        process.end([daemon], DAEMON_END_S)
    process.end([pid for pid, _ in process.find(home.root)], TERM_S)
    return len(found) + (daemon is not None)


def _listen(address: str, port: int, last: int) -> socket.socket:
    for choice in (port,) if port else (last, 0):
        sock = socket.socket()
        # A port whose last owner was killed is free again at once.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, choice))
            sock.listen(512)
        except OSError as e:
            sock.close()
            if port or not choice:
                raise PlatformRejected(f"cannot listen on {address}:{choice}: {e.strerror}") from e
            continue
        return sock
    raise AssertionError("port 0 is always tried last")


async def _until_told() -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()
