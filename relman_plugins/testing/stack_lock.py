"""One stack for each folder: two would write each other's databases."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from relman_plugins.testing.stack_process import StackError


class HomeLock:
    """Held while a stack runs in a folder; the kernel lets go when the process ends, however it ends."""

    def __init__(self, home: Path) -> None:
        self._path = home.parent / f"{home.name}.lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock, or raise StackError naming the process that has it."""
        if self._file is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise StackError(
                f"another stack is running in {self._path.with_suffix('')} (process {holder}); "
                "stop it with Ctrl-C first"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let go; idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None
