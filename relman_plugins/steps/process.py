"""Running a team's command: an argument list, a clean environment, a time limit, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What a command sees of the worker's environment. Connections and keys live in the rest, and stay there."""

TAIL_LINES = 40


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
    _process: subprocess.Popen[str] | None = field(default=None, init=False)

    def run(self) -> CommandResult:
        """Run it to its end, or to the time limit, when it and all its children are killed."""
        argv = [sys.executable if self.argv[0] == "python" else self.argv[0], *self.argv[1:]]
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        # Airflow runs from a virtual environment whose programs the command may name by themselves.
        environment["PATH"] = os.pathsep.join(
            [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]
        )
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        expired = False
        try:
            self._process = subprocess.Popen(  # noqa: S603 - an argument list from the stored plan, never a shell
                argv,
                cwd=self.cwd,
                env=environment | dict(self.variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            return CommandResult(127, False, f"cannot start {argv[0]!r}: {error.strerror or error}")

        def expire() -> None:
            nonlocal expired
            expired = True
            self.kill()

        timer = Timer(self.timeout_s, expire)
        timer.start()
        try:
            for line in self._process.stdout or ():
                tail.append(line.rstrip("\n"))
                self.log(line.rstrip("\n"))
            code = self._process.wait()
        finally:
            timer.cancel()
            self.kill()
        return CommandResult(code, expired, "\n".join(tail))

    def kill(self) -> None:
        """End the command and everything it started. Safe to call at any time, any number of times."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
