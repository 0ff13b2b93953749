"""What compiling a spec came to, kept on disk until a byte of what it was made from is another one.

Airflow parses a DAG file again and again, and most specs are the same as half a minute before. An entry names
every document that was read, by the digest of its content; the files that were looked for; and the state of
relman's own code. All of that is looked at again before the entry counts, so it can be missed but not be
wrong: no clock, no times of the specs' files. Broken specs are never kept. Entries are JSON, checked by a
digest and by the plan's model; one that can't be used, for whatever reason, is as good as none.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import re
import stat
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import pydantic
import pydantic_core

import relman_plugins
from relman_plugins.factory.docs import Docs
from relman_plugins.factory.kept import Kept
from relman_plugins.plan.model import Shape
from relman_plugins.spec.files import Unreadable, bytes_of, is_there

log = logging.getLogger(__name__)

MADE_BY = ("calendars", "domain", "factory", "plan", "spec", "strategies")
"""Rooms whose code decides what a spec comes to."""

_VERSION = re.compile(r"/(?:[0-9a-f]{64}|[0-9a-f]{40})(?=/)")
"""A folder that is named by a digest: a snapshot's, or a commit's."""

MOST = 50_000
"""Entries that are kept."""


class Compiled(NamedTuple):
    """What a valid spec came to."""

    shape: Shape
    docs: Docs
    warnings: str
    """What was found and is no error, as people read it; empty for nothing."""


class Cache:
    """The entries in ``folder``, for one load: a document that several pipelines name is read once.

    The folder is this user's own, made when there is something to keep. One that somebody else owns, or may
    write, is not used. A context manager: at its end what is to be kept is written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._seen: dict[Path, str] = {}
        self._digests: dict[str, str] = {}
        self._code = code_state() if folder is not None else ""
        self._kept = Kept(folder, MOST) if folder is not None and self._code else None
        self._usable = folder is not None and _is_ours(folder)
        self._writable: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._tried(self._kept.close)

    def recall(self, file: Path) -> Compiled | None:
        """Return what the spec in ``file`` came to; None when it has to be compiled. Never raises."""
        if not self._usable or self._kept is None:
            return None
        try:
            return self._recalled(file, self._kept.get(_name(file)) or b"")
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, Unreadable):
            return None

    def _recalled(self, file: Path, body: bytes) -> Compiled | None:
        root = file.parent
        checksum, _, rest = body.partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != checksum:
            return None
        about, _, shape = rest.partition(b"\n")
        entry = json.loads(about)
        if entry["code"] != self._code:
            return None
        if any(self._digest(root / name, root) != digest for name, digest in entry["documents"].items()):
            return None
        if any(is_there(root / path, wanted) is not found for path, wanted, found in entry["files"]):
            return None
        plan = Shape.model_validate_json(shape)
        tasks = {step.id: str(entry["tasks"][step.id]) for step in plan.steps}
        return Compiled(plan, Docs(str(entry["docs"]), tasks), str(entry["warnings"]))

    def keep(
        self, file: Path, compiled: Compiled, texts: Mapping[str, str], files: Mapping[str, str]
    ) -> None:
        """Keep what the spec in ``file`` came to. Never raises: a full disk costs time, not DAGs.

        Args:
            file: the pipeline's file.
            compiled: what it came to.
            texts: every document that was read, by path relative to the file's folder.
            files: what else was looked for, by path relative to that folder: ``file`` or ``directory``.
        """
        if self._kept is None or not self._prepared():
            return
        kept, root = self._kept, file.parent
        entry = {
            "code": self._code,
            "documents": {name: self._digest_of(text) for name, text in texts.items()},
            "files": [[path, wanted, is_there(root / path, wanted)] for path, wanted in files.items()],
            "docs": compiled.docs.dag,
            "tasks": compiled.docs.tasks,
            "warnings": compiled.warnings,
        }
        rest = pydantic_core.to_json(entry) + b"\n" + compiled.shape.model_dump_json().encode()
        body = hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest
        self._tried(lambda: kept.put(_name(file), body))

    def _prepared(self) -> bool:
        """Say whether anything can be kept; make the folder for it."""
        folder = self._folder
        if self._writable is None and folder is not None:
            self._writable = True
            self._tried(lambda: os.makedirs(folder, 0o700, exist_ok=True))
            self._writable = self._writable and _is_ours(folder)
        return bool(self._writable)

    def _tried(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            self._writable = False
            log.warning("relman: nothing can be kept in %s: %s", self._folder, error)

    def _digest_of(self, text: str) -> str:
        if text not in self._digests:  # most are those of documents that the pipelines share
            self._digests[text] = _digest(text.encode())
        return self._digests[text]

    def _digest(self, path: Path, root: Path) -> str:
        if path not in self._seen:
            # As the reader of specs takes it: a byte order mark is no part of the text.
            self._seen[path] = _digest(bytes_of(path, root).removeprefix(BOM_UTF8))
        return self._seen[path]


def _name(file: Path) -> bytes:
    """Return what an entry is kept under: the file's path, the same for all versions of a DAG bundle.

    Each version has a folder of its own, and most specs are in it as they were.
    """
    return os.fsencode(_VERSION.sub("/*", str(file)))


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


@functools.cache
def code_state() -> str:
    """Return what stands for the code that compiles, or nothing when it is in no folder.

    The same for as long as a process lives, as its modules are: what is installed meanwhile compiles nothing.
    """
    package = Path(next(iter(relman_plugins.__path__)))
    # Whatever is installed, upgraded or removed beside pydantic changes the folder: YAML, calendars, zones.
    libraries = Path(pydantic.__file__).parents[1].stat().st_mtime_ns
    found = [relman_plugins.__version__, sys.version, pydantic.VERSION, str(libraries)]
    waiting = [str(package / room) for room in MADE_BY]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            return ""
        for entry in entries:
            if entry.name.endswith(".py"):
                about = entry.stat()
                found.append(f"{entry.path}:{about.st_mtime_ns}:{about.st_size}")
            elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                waiting.append(entry.path)
    return _digest("\n".join(sorted(found)).encode())


def trouble(folder: Path) -> str:
    """Return why nothing can be kept in ``folder`` by this user, without its path; empty when it can."""
    name = f"{folder.name} in [relman] home"
    if not folder.exists() and not folder.is_symlink():
        above = next((p for p in folder.parents if p.exists()), folder.parent)
        writable = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
        return "" if writable else f"{name} can't be made: that is no folder which Airflow's user may write"
    if not _is_ours(folder):
        return f"{name} is not used: it is a link, or somebody else owns or may write it; remove it"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{name} can't be written; remove it"


def _is_ours(folder: Path) -> bool:
    """Say whether nobody else can have written what is in the folder."""
    try:
        about = folder.lstat()
    except OSError:
        return False
    mine = about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(about.st_mode) and mine
