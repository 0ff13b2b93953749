"""Files → documents, hostile ones refused."""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path

from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.files import Unreadable, bytes_of
from relman_plugins.spec.parse import Bad, parse
from relman_plugins.spec.position import Document, Span

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
        return bytes_of(path, root)
    except Unreadable as error:
        raise Bad(error.code, error.message, Span(), error.hint) from error


def _decoded(raw: bytes) -> str:
    raw = raw.removeprefix(BOM_UTF8)
    try:
        text = raw.decode()
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
