"""SQL queries in which values are bound: where they stand, and what no such query may be.

This is no parser of SQL: it only tells text, comments and names in quotes from the rest, so that a value is
never put into one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_PART = re.compile(
    r"""
    (?P<text>'(?:[^']|'')*(?P<text_end>')?)
  | (?P<name>"(?:[^"]|"")*(?P<name_end>")? | `[^`]*(?P<tick_end>`)?)
  | (?P<line>--[^\n]*)
  | (?P<comment>/\*.*?(?P<comment_end>\*/|\Z))
  | (?P<dollar>\$\$)
  | (?P<value>\$(?:\{[a-z_]+\}|[a-z_]+))
  | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\$(?:\{[a-z_]+\}|[a-z_]+)")
_READS = re.compile(r"\s*(?:\(\s*)*(?:select|with)\b", re.IGNORECASE)


class Part(NamedTuple):
    """A piece of a query."""

    kind: Literal["code", "value"]
    text: str
    """SQL as it is, or the name of a value that is to be bound here."""


def parts(query: str) -> list[Part]:
    """Take a query apart into SQL and the values between. ``$$`` is a dollar sign.

    Raises:
        ValueError: It is no single query that reads, or a value stands in quotes; the message says which.
    """
    found, begin = list[Part](), 0
    for match in _PART.finditer(query):
        kind = match.lastgroup or ""
        text = match.group()
        if match["text"] or match["name"]:
            _in_quotes(match, text)
        if match["value"]:
            found += [Part("code", query[begin : match.start()]), Part("value", text.strip("${}"))]
            begin = match.end()
        elif match["dollar"]:
            found.append(Part("code", query[begin : match.start()] + "$"))
            begin = match.end()
        elif match["comment"] and not match["comment_end"]:
            raise ValueError("a comment is not closed")
        elif kind == "end" and "".join(_bare(query[match.end() :])).strip(" \t\r\n;"):
            raise ValueError("it is more than one statement")
    found.append(Part("code", query[begin:]))
    if not _READS.match("".join(_bare(query))):
        raise ValueError("it is no query: it must begin with SELECT or WITH")
    return found


def _in_quotes(match: re.Match[str], text: str) -> None:
    if not (match["text_end"] or match["name_end"] or match["tick_end"]):
        raise ValueError("a quote is not closed")
    if "\\" in text:
        raise ValueError(
            "a backslash stands in quotes, which databases read differently; write '' for a quote"
        )
    if inner := _PLACEHOLDER.search(text):
        raise ValueError(f"{inner.group()} stands in quotes: values are bound, and need none")


def _bare(query: str) -> Iterator[str]:
    """Yield a query without its comments."""
    begin = 0
    for match in _PART.finditer(query):
        if match["line"] or match["comment"]:
            yield query[begin : match.start()]
            begin = match.end()
    yield query[begin:]
