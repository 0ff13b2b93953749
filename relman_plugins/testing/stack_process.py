"""Processes that the stack owns: started in sessions of their own, stopped for certain.

A process is found again, whatever became of its parent, by either of two marks: its session, or an
environment variable that all of them inherit.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from relman_plugins.errors import RelmanError

MARK = "RELMAN_STACK"
"""Environment variable that every process of a stack inherits; its value is the stack's own."""


class StackError(RelmanError):
    """The stack could not be started, or one of its processes ended by itself."""


@dataclass(frozen=True)
class Managed:
    """One process of the stack."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 25) -> str:
        """Return the end of the log, without the lines that only say that all is well."""
        try:
            text = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(_telling(text, lines))


@dataclass
class Processes:
    """The processes of one stack, in the order in which they were started."""

    logs: Path
    marks: dict[str, str] = field(default_factory=lambda: {MARK: secrets.token_hex(8)})
    """Environment variables, any one of which shows that a process is of this stack."""
    running: list[Managed] = field(default_factory=list)
    _sessions: set[int] = field(default_factory=set)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> Managed:
        """Start a command in a session of its own; its output goes to ``<logs>/<name>.log``."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        child = [sys.executable, "-m", "relman_plugins.testing.stack_child", str(os.getpid()), *command]
        with log.open("ab") as output:
            popen = subprocess.Popen(  # noqa: S603 - commands of the stack only, no shell
                child,
                env={**env, MARK: self.marks[MARK]},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sessions.add(popen.pid)
        managed = Managed(name, popen, log)
        self.running.append(managed)
        return managed

    def check(self) -> None:
        """Raise StackError, with the log that matters, when a process has ended by itself."""
        for managed in self.ended():
            raise StackError(
                f"{managed.name} ended by itself with code {managed.popen.returncode}; its log, "
                f"{managed.log}, ends with:\n{managed.tail()}"
            )

    def ended(self) -> list[Managed]:
        """Return the processes that have ended by themselves."""
        return [managed for managed in self.running if managed.popen.poll() is not None]

    def wait(self, managed: Managed, timeout_s: float) -> None:
        """Wait for a process that ends by itself; raise StackError when it fails or takes too long."""
        try:
            code = managed.popen.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise StackError(
                f"{managed.name} did not end within {timeout_s:.0f} s; see {managed.log}"
            ) from error
        self.running.remove(managed)
        if code != 0:
            raise StackError(
                f"{managed.name} failed with code {code}; its log, {managed.log}, ends with:\n"
                f"{managed.tail()}"
            )

    def stop(self, first: Iterable[str] = (), grace_s: float = 10.0) -> list[str]:
        """Stop everything, ``first`` before the rest, and return what is left: normally nothing.

        Each process gets SIGTERM and ``grace_s`` seconds; then its whole session and every other process
        that bears the stack's marks get SIGKILL.
        """
        early = set(first)
        self._end([m for m in self.running if m.name in early], grace_s)
        self._end([m for m in self.running if m.name not in early], grace_s)
        deadline = time.monotonic() + grace_s
        while (left := self.members()) and time.monotonic() < deadline:
            for process in left:
                _signal(process, signal.SIGKILL)
            _, _ = psutil.wait_procs(left, timeout=0.5)
        for managed in self.running:
            managed.popen.poll()
        self.running.clear()
        return [_describe(process) for process in self.members()]

    def members(self) -> list[psutil.Process]:
        """Find every living process of the stack, direct, orphaned or in a session of its own."""
        own = os.getpid()
        return [p for p in psutil.process_iter() if p.pid != own and self._is_member(p)]

    def _is_member(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # A title that a process gives itself may overwrite its environment; its session stays.
            if os.getsid(process.pid) in self._sessions:
                return True
            env = process.environ()
            return any(env.get(name) == value for name, value in self.marks.items())
        except (psutil.Error, OSError):
            return False

    def _end(self, managed: list[Managed], grace_s: float) -> None:
        for each in managed:
            if each.popen.poll() is None:
                each.popen.terminate()
        deadline = time.monotonic() + grace_s
        for each in managed:
            try:
                each.popen.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                each.popen.kill()
                each.popen.wait(5)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return str(process.pid)


def _telling(lines: list[str], count: int) -> list[str]:
    """Prefer the last traceback to whatever happened to come after it, and its end to its middle."""
    start = max(
        (i for i, line in enumerate(lines) if line.startswith("Traceback (most recent")), default=None
    )
    if start is None:
        return lines[-count:]
    end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith(" ")), len(lines) - 1)
    return lines[max(start, end + 1 - count) : end + 1]
