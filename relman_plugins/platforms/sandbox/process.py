"""Processes of the operating system: start, recognise, wait for, end.

A replica's process carries the daemon's home and the replica's id in its environment, and leads a session of
its own. That is what it is recognised by after the daemon died: a process id alone may have been reused.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

import psutil

HOME = "RELMAN_SANDBOX_HOME"
REPLICA = "RELMAN_REPLICA"

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE")
"""What a replica gets of the daemon's own environment; anything more could be a secret."""

KILLED_S = 5.0
"""How long the system may take to end a process that was killed."""

POLL_S = 0.2
"""How often a process is looked at where the system cannot tell when it ends."""


def spawn(command: list[str], cwd: Path, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process in its own session, its output appended to a log.

    ``python`` as first word is the interpreter of this process.

    Raises:
        OSError: The command cannot be run.
    """
    argv = [sys.executable if command[0] == "python" else command[0], *command[1:]]
    base = {k: os.environ[k] for k in INHERITED if k in os.environ}
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - argument list from a verified artifact, no shell
            argv,
            cwd=cwd,
            env={**base, "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def is_running(pid: int, home: Path, replica: str) -> bool:
    """Say whether the process is alive and is that replica."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        env = process.environ()
    except (psutil.Error, OSError):
        return False
    return env.get(HOME) == str(home) and env.get(REPLICA) == replica


def find(home: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield process id and environment of every live process that was started for this home."""
    for process in psutil.process_iter():
        try:
            env = process.environ()
            if env.get(HOME) == str(home) and REPLICA in env and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid, env
        except (psutil.Error, OSError):
            continue


def find_replica(home: Path, replica: str) -> list[int]:
    """Return the live processes of one replica: its own, and children that it left behind."""
    return [pid for pid, env in find(home) if env[REPLICA] == replica]


def kill(pid: int) -> None:
    """End a process at once; one that is gone is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process and its children; one that is gone is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def end(pids: list[int], term_s: float) -> None:
    """Ask processes to end, end those that have not after so many seconds, and wait until all are gone.

    A process that only its parent has not taken notice of is gone.
    """
    left = pids
    for number, patience in ((signal.SIGTERM, term_s), (signal.SIGKILL, KILLED_S)):
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while (left := [p for p in left if not _is_gone(p)]) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


async def wait(pid: int) -> None:
    """Return when the process has ended, whoever started it."""
    loop = asyncio.get_running_loop()
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        while not _is_gone(pid):
            await asyncio.sleep(POLL_S)
        return
    ended = loop.create_future()
    loop.add_reader(handle, _finish, ended)
    try:
        await ended
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def exposed(pid: int | None) -> str:
    """Return an address beyond loopback that a process listens on; empty when there is none."""
    try:
        sockets = psutil.Process(pid).net_connections(kind="tcp") if pid else []
    except (psutil.Error, OSError):
        return ""
    for s in sockets:
        if s.status == psutil.CONN_LISTEN and not ip_address(s.laddr.ip).is_loopback:
            return f"{s.laddr.ip}:{s.laddr.port}"
    return ""


def tail(log: Path, size: int = 600) -> str:
    """Return the last lines of a log, for a message."""
    try:
        with log.open("rb") as f:
            f.seek(max(0, log.stat().st_size - size))
            return f.read().decode(errors="replace").strip()
    except OSError:
        return ""
