"""Files → documents, hostile ones refused."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.parse import Bad, parse
from relman_plugins.spec.position import Document, Span

LARGEST = 1_000_000
"""Bytes a spec may have."""

_START = "start with apiVersion: relman/v1 and kind: ReleasePipeline"

# The last three end a line for YAML but not for editors: every line number after them would be wrong.
_REFUSED = {
    "\x00": "NUL",
    "\x85": "next line (U+0085)",
    "\u2028": "line separator (U+2028)",
    "\u2029": "paragraph separator (U+2029)",
}


@dataclass(frozen=True, slots=True)
class Read:
    """What came of reading one file."""

    document: Document | None
    diagnostics: tuple[Diagnostic, ...]
    text: str = ""


def read(path: Path, root: Path) -> Read:
    """Read the document in ``path``; never raises for what it finds.

    Args:
        path: the file, named as diagnostics will name it.
        root: folder that the file must really be in, symbolic links followed.
    """
    name = str(path)
    try:
        raw = _bytes(path, root)
        text = _decoded(raw)
    except Bad as bad:
        return Read(None, (_diagnostic(bad, name),))
    node, found = parse(text, name)
    diagnostics = [_diagnostic(bad, name) for bad in found]
    if node is None and not found:
        diagnostics.append(_diagnostic(Bad("RM007", "the file is empty", Span(), _START), name))
    if node is None:
        return Read(None, tuple(diagnostics), text)
    return Read(Document(name, text, node), tuple(diagnostics), text)


def _diagnostic(bad: Bad, path: str) -> Diagnostic:
    return Diagnostic(bad.code, "error", bad.message, path, *bad.span, hint=bad.hint)


def _bytes(path: Path, root: Path) -> bytes:
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            hint = "put the file itself there"
            raise Bad("RM008", "a symbolic link leads out of the folder of specs", Span(), hint)
        # Not blocking: opening a named pipe would otherwise wait for its writer.
        with open(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Bad("RM008", "not a regular file", Span())
            raw = file.read(LARGEST + 1)
    except (OSError, RuntimeError) as error:
        # A link to itself is a RuntimeError before Python 3.13.
        looped = not isinstance(error, OSError) or error.errno == errno.ELOOP
        reason = (
            "it is a link to itself" if looped else str(getattr(error, "strerror", None) or "input error")
        )
        raise Bad("RM008", f"the file cannot be read: {reason.lower()}", Span()) from error
    if len(raw) > LARGEST:
        raise Bad("RM005", f"the file is larger than {LARGEST:,} bytes", Span(), "split the file")
    return raw


def _decoded(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        message = f"not UTF-8: byte 0x{raw[error.start]:02x}"
        raise Bad("RM006", message, _at(before), "save the file as UTF-8") from error
    for char, name in _REFUSED.items():
        if char in text:
            raise Bad("RM006", f"a {name} character", _at(text[: text.index(char)]), "remove it")
    return text


def _at(before: str) -> Span:
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return Span(line, column, line, column + 1)
