"""Files that others read while they are written."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write a file of this user's alone in one step: a reader sees the old content or the new, never a part.

    The folder is made if need be. Not flushed to the disk: what must outlive the machine is no such file.
    Raises OSError, and then everything is as it was.
    """
    # A thousand of them are written when specs are first read, for which `tempfile` is too slow.
    name = f"{path.parent}/.{path.name}-{os.urandom(8).hex()}"
    try:
        handle = _new(name)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _new(name)
    try:
        with open(handle, "wb", buffering=0) as file:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) :]
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _new(name: str) -> int:
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
