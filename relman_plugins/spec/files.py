"""Which files are pipelines, and what bytes are in them: without what parsing takes."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

LARGEST = 1_000_000
"""Bytes a spec may have."""

_USUAL = 64 * 1024
"""Bytes that most specs have fewer than: to make room for the largest takes longer than to read them."""

NOT_PIPELINES = frozenset({"people.yaml"})


def pipeline_files(folder: Path) -> list[Path]:
    """Return the pipeline files at the top of ``folder``, sorted; none if there is no such folder.

    The files are not read: a broken one is listed too.
    """
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.glob("*.yaml") if p.name not in NOT_PIPELINES and not p.name.startswith(".")
    )


class Unreadable(Exception):
    """A file that is not read: the code, the message and the hint of its diagnostic."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


def bytes_of(path: Path, root: Path) -> bytes:
    """Return what is in ``path``, which must really be in ``root``, symbolic links followed.

    Raises:
        Unreadable: It lies elsewhere, is no regular file, is too large, or can't be read.
    """
    try:
        with open(_opened(path, root), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable("RM008", "not a regular file")
            raw = file.read(_USUAL)
            if len(raw) == _USUAL:
                raw += file.read(LARGEST + 1 - _USUAL)
    except (OSError, RuntimeError) as error:
        # A link to itself is a RuntimeError before Python 3.13.
        looped = not isinstance(error, OSError) or error.errno == errno.ELOOP
        reason = (
            "it is a link to itself" if looped else str(getattr(error, "strerror", None) or "input error")
        )
        raise Unreadable("RM008", f"the file cannot be read: {reason.lower()}") from error
    if len(raw) > LARGEST:
        raise Unreadable("RM005", f"the file is larger than {LARGEST:,} bytes", "split the file")
    return raw


def _opened(path: Path, root: Path) -> int:
    # Not blocking: opening a named pipe would otherwise wait for its writer.
    how = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    folder = path.parent
    if ".." not in path.parts and (folder == root or (folder.parent == root and not folder.is_symlink())):
        # No link, so it is there: most files are, and resolving both paths takes longer than to read it.
        with suppress(OSError):
            return os.open(path, how | os.O_NOFOLLOW)
    real = path.resolve(strict=True)
    if not real.is_relative_to(root.resolve()):
        raise Unreadable(
            "RM008", "a symbolic link leads out of the folder of specs", "put the file itself there"
        )
    return os.open(real, how)


def is_there(path: Path, wanted: str) -> bool:
    """Say whether there is such a ``file`` or ``directory`` here; what can't be looked at is not."""
    try:
        return path.is_dir() if wanted == "directory" else path.is_file()
    except (OSError, ValueError):
        return False
