"""The daemon's directory: one daemon at a time, everything it owns below it.

::

    state.json                                   what should run, what does, tokens, ports
    counters.bin                                 request counts and durations
    daemon.lock                                  held by the running daemon
    artifacts/sha256-<hex>.tar.gz                verified copies of what is deployed
    environments/<environment>/<service>/data    data directory of the service there
    environments/<environment>/<service>/<id>    one replica: `app`, unpacked from the artifact, and `log`
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relman_plugins.errors import PlatformRejected
from relman_plugins.files import replace


@dataclass(frozen=True)
class Home:
    """Paths below the daemon's directory."""

    root: Path
    """Absolute and resolved: it is also how the processes of this daemon are told from another's."""

    @property
    def state(self) -> Path:
        """The state file."""
        return self.root / "state.json"

    @property
    def counters(self) -> Path:
        """The counters' file."""
        return self.root / "counters.bin"

    @property
    def artifacts(self) -> Path:
        """The store of verified copies."""
        return self.root / "artifacts"

    def service(self, environment: str, service: str) -> Path:
        """Everything of one service in one environment."""
        return self.root / "environments" / environment / service

    def remove_service(self, environment: str, service: str) -> None:
        """Delete everything of one service in one environment, and the environment's folder when empty."""
        folder = self.service(environment, service)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()

    def lock(self) -> int:
        """Take the directory for this process until it ends; return the lock's file descriptor.

        Raises:
            PlatformRejected: Another daemon has it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(handle)
            raise PlatformRejected(
                f"another sandbox daemon already runs in {self.root}; stop it, or choose another --home"
            ) from e
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        return handle

    def owner(self) -> int | None:
        """Return the process id of the daemon that has the directory now; None when nobody has."""
        try:
            with (self.root / "daemon.lock").open("rb") as f:
                fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
        except BlockingIOError:
            return int((self.root / "daemon.lock").read_text() or 0) or None
        except FileNotFoundError:
            return None


def write_json(path: Path, value: Any) -> None:
    """Replace a file by JSON, in one step.

    Not flushed to the disk: what the file describes are processes, which do not outlive the machine either.
    """
    replace(path, json.dumps(value).encode())
