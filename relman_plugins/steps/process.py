"""Running a team's command: an argument list, a clean environment, a time limit, and nothing left behind."""

from __future__ import annotations

import codecs
import io
import os
import selectors
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from relman_plugins import telemetry

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What a command sees of the worker's environment. Connections and keys live in the rest, and stay there."""

MARK = "RELMAN_COMMAND"
"""The variable by which what a command started is found again, whatever session it moved to."""

TAIL_LINES = 40

LONGEST_LINE = 10_000
"""Characters after which a line of output is broken: one without an end would fill the memory."""

LOOK_S = 0.1
_CHUNK = 64 * 1024
_ROUNDS = 16


@dataclass
class CommandResult:
    """How a command ended."""

    code: int
    timed_out: bool
    tail: str
    """Its last lines of output, standard output and error together."""


@dataclass
class Command:
    """One run of a command in a session of its own, so that all it starts can be ended with it.

    A first argument of ``python`` means the worker's own interpreter.
    """

    argv: Sequence[str]
    cwd: Path
    variables: Mapping[str, str]
    timeout_s: float
    log: Callable[[str], None]
    _mark: str = field(default_factory=lambda: uuid.uuid4().hex, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def run(self) -> CommandResult:
        """Run it to its end, or to the time limit; then everything it started is killed.

        When the release is traced, the command can join by ``TRACEPARENT`` in its environment.
        What it started may outlive it and keep its output open: that neither holds this call up nor stays,
        except a process that hides in another session with an emptied environment, which only stays.
        """
        with telemetry.span("command", program=Path(self.argv[0]).name):
            result = self._run()
            telemetry.note(exit_code=result.code, timed_out=result.timed_out)
        return result

    def _run(self) -> CommandResult:
        argv = [sys.executable if self.argv[0] == "python" else self.argv[0], *self.argv[1:]]
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        # Airflow runs from a virtual environment whose programs the command may name by themselves.
        environment["PATH"] = os.pathsep.join(
            [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]
        )
        try:
            process = self._process = subprocess.Popen(  # noqa: S603 - an argument list from the stored plan, never a shell
                argv,
                cwd=self.cwd,
                env=environment | telemetry.carrier() | dict(self.variables) | {MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return CommandResult(127, False, f"cannot start {argv[0]!r}: {error.strerror or error}")
        said = _Output(self.log)
        try:
            expired = self._follow(process, said)
        finally:
            self.kill()
            # From here on the number is nobody's, or somebody else's.
            self._process = None
            code = process.wait()
            self._end_strays()
        if process.stdout is not None:
            said.rest(process.stdout.fileno())
            process.stdout.close()
        return CommandResult(code, expired, said.tail)

    def kill(self) -> None:
        """End the command and all that is in its session. Safe to call at any time, any number of times."""
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _follow(self, process: subprocess.Popen[bytes], said: _Output) -> bool:
        """Pass its output on until it has ended (it is not reaped); say whether the time was over first."""
        deadline = time.monotonic() + self.timeout_s
        with selectors.DefaultSelector() as ready:
            if process.stdout is not None:
                ready.register(process.stdout, selectors.EVENT_READ)
            while not _has_ended(process.pid):
                left = deadline - time.monotonic()
                if left <= 0:
                    return True
                if not ready.get_map():
                    time.sleep(min(left, LOOK_S))
                for key, _ in ready.select(min(left, LOOK_S)) if ready.get_map() else ():
                    if not said.read(key.fd):
                        ready.unregister(key.fileobj)
        return False

    def _end_strays(self) -> None:
        # Several rounds: between the look and the signal one may have started another.
        for _ in range(_ROUNDS):
            found = [p for p in psutil.process_iter() if _is_marked(p, self._mark)]
            if not found:
                return
            for process in found:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(found, timeout=LOOK_S)


class _Output:
    """Takes a command's output as bytes; gives lines to a log and keeps the last ones."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), True)
        self._open = ""

    @property
    def tail(self) -> str:
        return "\n".join(self._lines)

    def read(self, fd: int) -> bool:
        """Take what is there; say whether more may come."""
        data = os.read(fd, _CHUNK)
        *whole, self._open = (self._open + self._decoder.decode(data, final=not data)).split("\n")
        while len(self._open) > LONGEST_LINE:
            whole.append(self._open[:LONGEST_LINE])
            self._open = self._open[LONGEST_LINE:]
        for line in whole:
            self._say(line)
        return bool(data)

    def rest(self, fd: int) -> None:
        """Take what is left without waiting for more, and end the last line."""
        os.set_blocking(fd, False)
        with suppress(OSError):
            # A pipe holds less than this; whoever writes on was not to be ended.
            for _ in range(_ROUNDS):
                if not self.read(fd):
                    break
        if self._open:
            self._say(self._open)

    def _say(self, line: str) -> None:
        for start in range(0, max(1, len(line)), LONGEST_LINE):
            self._lines.append(line[start : start + LONGEST_LINE])
            self._log(line[start : start + LONGEST_LINE])


def _has_ended(pid: int) -> bool:
    """Say whether a child has ended, and leave it a zombie: its number must not become another's yet."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False
