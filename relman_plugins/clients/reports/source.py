"""Reading a report's file, and its outermost form, without trusting either."""

from __future__ import annotations

import codecs
import importlib.util
from pathlib import Path
from typing import Any

# Only the types of the result come from here: defusedxml parses (see ``xml``), and has no types of its own.
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from relman_plugins.errors import ClientRejected

MAX_BYTES = 50 * 1024 * 1024
"""The largest report that is read."""

MAX_DEPTH = 64
"""The deepest nesting of XML elements that is read."""

MAX_ELEMENTS = 300_000
"""Elements of a report: each takes some 400 bytes of memory, however short it is written."""

MAX_TEXT = 1000
"""Length to which names and messages from reports are cut, in characters."""

CLOCK_S = 2.0
"""How much older than the run a report's file may look: the coarsest clock of a file system in use."""

INSTALL = "python -m pip install 'relman[reports]'"
"""The one command that adds the libraries which only some reports need."""

LIBRARIES = {"cobertura": "pycobertura", "lcov": "lcov_cobertura", "sarif": "sarif_pydantic"}
"""Format → the module that reads it and that the base install does not bring."""

_CHUNK = 1024 * 1024


def need(form: str) -> None:
    """Raise ClientRejected, with the command that adds it, when the library of a format is not installed."""
    module = LIBRARIES.get(form)
    if module is not None and importlib.util.find_spec(module) is None:
        raise ClientRejected(
            f"reading {form} reports needs the library {module}, which is not installed on this worker; "
            f"add it with: {INSTALL}"
        )


def content(source: Path | bytes, what: str, *, since: float | None = None) -> tuple[bytes, str]:
    """Return a report's bytes, without a byte order mark, and how to name it in a message.

    Args:
        source: The file, or its content.
        what: What it is, for messages: ``the JUnit report``.
        since: When the run began, in seconds since the epoch: an older file is another run's.

    Raises:
        ClientRejected: There is no such file, it is older than the run, empty or too large.
    """
    where = what if isinstance(source, bytes) else f"{what} {source}"
    found = source if isinstance(source, bytes) else _read(source, where, since)
    if len(found) > MAX_BYTES:
        raise ClientRejected(f"{where} is larger than {MAX_BYTES >> 20} MB; split the suite")
    if not found.strip(b" \t\r\n\x00"):
        raise ClientRejected(f"{where} is empty; the suite ended before it wrote its report")
    return found.removeprefix(codecs.BOM_UTF8), where


def text(found: bytes, where: str) -> str:
    """Return a report's bytes as text; raise ClientRejected unless they are UTF-8."""
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise ClientRejected(f"{where} is not UTF-8 (byte {error.start}); write it as UTF-8") from None


def xml(found: bytes, where: str, *, doctype: bool = False) -> Element:
    """Parse XML that may be hostile.

    Args:
        found: The report's bytes.
        where: How to name it in a message.
        doctype: Whether the format's own tools write a document type. Entities are refused in any case, and
            what a document type refers to is never fetched.

    Raises:
        ClientRejected: It is not whole, too deep, or has a document type or entities.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import XMLParser

    parser: Any = XMLParser(target=_Bounded(), forbid_dtd=not doctype)
    try:
        for start in range(0, len(found), _CHUNK):
            parser.feed(found[start : start + _CHUNK])
        root: Element = parser.close()
    except ParseError as error:
        raise ClientRejected(
            f"{where} is not whole XML: {error}; the suite may have been stopped while it wrote"
        ) from error
    except DefusedXmlException as error:
        raise ClientRejected(
            f"{where} is refused: it has a document type or entities, which no test tool needs"
        ) from error
    except ClientRejected as error:
        raise ClientRejected(f"{where} is refused: {error}") from None
    except (ValueError, LookupError) as error:
        raise ClientRejected(f"{where} cannot be read: {error}") from error
    return root


class _Bounded(TreeBuilder):
    """Builds the tree as usual, and stops when it gets too deep, or has too many elements to be kept."""

    depth = 0
    count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ClientRejected(f"elements are nested deeper than {MAX_DEPTH}")
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise ClientRejected(f"it has more than {MAX_ELEMENTS:,} elements; split the suite")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self.depth -= 1
        return super().end(tag)


def _read(path: Path, where: str, since: float | None) -> bytes:
    try:
        if not path.is_file():
            # Also refuses a named pipe, which would be waited on for ever.
            raise ClientRejected(
                f"{where} is not a file; check its path in the suite, and that the command writes it"
            )
        written = path.stat().st_mtime
        if since is not None and written < since - CLOCK_S:
            raise ClientRejected(
                f"{where} is older than this run by {since - written:.0f} s: it is another run's; "
                "let the command write it anew"
            )
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ClientRejected(f"{where} cannot be read: {error.strerror}") from error
