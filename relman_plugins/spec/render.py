"""Diagnostics → text for people, JSON for programs, annotations for GitHub."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from relman_plugins.spec import secrets
from relman_plugins.spec.diagnostic import Diagnostic
from relman_plugins.spec.words import visible, visible_json

WIDEST = 160
"""Characters of a source line that are shown, around the place."""


def render_text(
    diagnostics: Iterable[Diagnostic], sources: Mapping[str, str], most: int | None = None
) -> str:
    """Write each diagnostic with the line it is about, a marker under the place, and the hint.

    Args:
        diagnostics: what to write, in this order.
        sources: text of the files by path; without a file's text its lines are not shown. Nor are lines that
            hold a secret.
        most: how many are written; None means all. The lines of all that hold a secret stay hidden.
    """
    listed = tuple(diagnostics)
    secret = {(found.path, found.line) for found in listed if found.code == secrets.CODE}
    lines = {path: _lines(sources.get(path, "")) for path in {found.path for found in listed}}
    return "\n".join(
        _block(found, [] if (found.path, found.line) in secret else lines[found.path])
        for found in listed[:most]
    )


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Write the diagnostics as a JSON array of objects with the fields of :class:`Diagnostic`."""
    found = [asdict(diagnostic) for diagnostic in diagnostics]
    return visible_json(json.dumps(found, indent=2, ensure_ascii=False)) + "\n"


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Write the diagnostics as GitHub workflow commands, which annotate the lines of a pull request."""
    return "".join(_command(found) for found in diagnostics)


def _lines(source: str) -> list[str]:
    # Only line feeds end a line for YAML marks here; splitlines() would also split at form feeds and more.
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n") if source else []


def _block(found: Diagnostic, source: list[str]) -> str:
    warning = "" if found.is_error else "warning: "
    head = f"{visible(found.path)}:{found.line}:{found.column}: {warning}{found.message} [{found.code}]\n"
    margin = " " * (len(str(found.line)) + 1)
    text = head + _snippet(found, source, margin)
    return text + (f"{margin}= hint: {found.hint}\n" if found.hint else "")


def _snippet(found: Diagnostic, lines: list[str], margin: str) -> str:
    if found.line > len(lines):
        return ""
    line = lines[found.line - 1]
    start = min(found.column - 1, len(line))
    end = found.end_column - 1 if found.end_line == found.line else len(line.rstrip())
    end = max(min(end, len(line)), start + 1)
    left = max(0, start - WIDEST // 2) if len(line) > WIDEST else 0
    right = left + WIDEST
    before, marked, after = line[left:start], line[start : min(end, right)], line[min(end, right) : right]
    marker = " " * _width(before) + "^" + "~" * max(0, _width(marked) - 1)
    shown = "".join(_shown(part) for part in (before, marked, after)).rstrip()
    return f"{margin}|\n{f'{found.line} | {shown}'.rstrip()}\n{margin}| {marker}\n"


def _shown(text: str) -> str:
    return visible(text.replace("\t", " "))


def _width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    text = _shown(text)
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(bool(unicodedata.combining(c)) for c in text)


def _command(found: Diagnostic) -> str:
    places = (found.line, found.column, found.end_line, found.end_column)
    fields = {"file": found.path, "title": found.code}
    fields |= dict(zip(("line", "col", "endLine", "endColumn"), map(str, places), strict=True))
    listed = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in fields.items())
    text = found.message + (f"\nhint: {found.hint}" if found.hint else "")
    return f"::{found.severity} {listed}::{_escaped(text)}\n"


def _escaped(text: str, more: str = "") -> str:
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
