"""SQL queries in which values are bound: where they stand, and what no such query may be.

This is no parser of SQL: it only tells text and names in quotes from the rest, so that a value is never put
into one of them. What databases read differently could hide a quote or a second statement, and is refused:
comments (PostgreSQL nests them, MySQL runs ``/*!``, and takes ``--1`` for a number), backslashes in quotes,
and dollar signs that begin a text. SQL Server can neither be told to only read, nor does it need a semicolon
between statements: there a word that begins one, or a second SELECT, is refused where a statement can begin.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

_PART = re.compile(
    r"""
    (?P<text>'(?:[^']|'')*(?P<text_end>')?)
  | (?P<name>"(?:[^"]|"")*(?P<name_end>")? | (?P<tick>`)[^`]*(?P<tick_end>`)?)
  | (?P<comment>--|/\*)
  | (?P<hash>\#)
  | (?P<value>\$(?:\{[a-z_]+\}|[a-z_]+))
  | (?P<dollar>\$\$?)
  | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\$(?:\{[a-z_]+\}|[a-z_]+)")
_READS = re.compile(r"\s*(?:\(\s*)*(?:select|with)\b", re.IGNORECASE)
_IN_NAME = re.compile(r"(?<![\w$])[^\W\d][\w$]*\Z")
_LONGEST = 256  # characters of a name, in any database
_BRACKETS = re.compile(r"""\[(?:[^\]'"]|\]\])*['"]""")

_PLAIN = frozenset({"postgresql", "mssql", "oracle"})
"""Dialects in which backticks quote nothing, and ``#`` begins no comment."""


_UNSEPARATED = frozenset({"mssql", "odbc", "jdbc"})
"""Dialects in which a statement may follow another without a semicolon; behind a bridge may be one."""
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\[(?:[^\]]|\]\])*\]""")
_NUMBER = re.compile(r"(?<![\w@#$])[0-9][\w@#$.]*(?:(?<=[eE])[+-][0-9]+)?", re.ASCII)
_IS_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"[()]|(?<![\w@#$])[a-z_@#][\w@#$]*", re.ASCII | re.IGNORECASE)
_JOINS = frozenset({"union", "all", "except", "intersect"})
_BEGINS = frozenset({
    "add", "alter", "backup", "begin", "break", "bulk", "checkpoint", "close", "commit", "continue",
    "create", "dbcc", "deallocate", "declare", "delete", "deny", "drop", "dump", "exec", "execute", "goto",
    "grant", "if", "insert", "into", "kill", "load", "merge", "open", "opendatasource", "openquery",
    "openrowset", "print", "raiserror", "readtext", "reconfigure", "restore", "return", "revert", "revoke",
    "rollback", "save", "set", "setuser", "shutdown", "truncate", "update", "updatetext", "use", "waitfor",
    "while", "writetext",
})  # fmt: skip
"""Reserved words of Transact-SQL that begin a statement, ``INTO``, by which a SELECT makes a table, and the
functions that send another server a text which nobody has looked at.
https://learn.microsoft.com/en-us/sql/t-sql/language-elements/reserved-keywords-transact-sql"""


class Part(NamedTuple):
    """A piece of a query."""

    kind: Literal["code", "value"]
    text: str
    """SQL as it is, or the name of a value that is to be bound here."""


def parts(query: str, dialect: str = "") -> list[Part]:
    """Take a query apart into SQL and the values between. ``$$`` is a dollar sign.

    ``dialect`` is that of the database, empty where it is not known yet.

    Raises:
        ValueError: It is no single query that reads, a value stands in quotes, or something in it is read
            differently by databases; the message says which.
    """
    found, begin = list[Part](), 0
    for match in _PART.finditer(query):
        text = match.group()
        if match["text"] or match["name"]:
            _in_quotes(match, text)
        if match["tick"] and dialect in _PLAIN:
            raise ValueError('a backtick stands in it, which quotes nothing there; write "name"')
        if match["comment"] or (match["hash"] and dialect and dialect not in _PLAIN):
            raise ValueError(
                f"a comment ({text}) stands in it, which databases read differently; "
                "write it beside the query"
            )
        if match["value"]:
            found += [Part("code", query[begin : match.start()]), Part("value", text.strip("${}"))]
            begin = match.end()
        elif match["dollar"]:
            if not _IN_NAME.search(query, max(0, match.start() - _LONGEST), match.start()):
                raise ValueError("a dollar sign stands outside a name: it could begin a text; write 'text'")
            found.append(Part("code", query[begin : match.start()] + "$"))
            begin = match.end()
        elif match["end"] and query[match.end() :].strip(" \t\r\n;"):
            raise ValueError("it is more than one statement")
    found.append(Part("code", query[begin:]))
    if not _READS.match(query):
        raise ValueError("it is no query: it must begin with SELECT or WITH")
    if dialect in _UNSEPARATED:
        if _BRACKETS.search(query):
            raise ValueError('a quote stands in square brackets, which hide it; rename, or write "name"')
        _one_statement(" ? ".join(part.text for part in found if part.kind == "code"))
    return found


def _one_statement(code: str) -> None:
    """Refuse what may be a second statement, and what writes, where no semicolon tells them apart."""
    bare = _QUOTED.sub(" ? ", code)
    if "--" in bare or "/*" in bare:
        raise ValueError("a comment stands in it; write it beside the query")
    for number in _NUMBER.finditer(bare):
        if not _IS_NUMBER.fullmatch(number.group()):
            raise ValueError(f"a word follows a number at once ({number.group()}); put a blank between them")
    depth, before = 0, ""
    chosen = bare.lstrip().startswith("(")
    for match in _WORD.finditer(bare):
        word = match.group().lower()
        depth += (word == "(") - (word == ")")
        if depth < 0:
            raise ValueError("a bracket is closed that was not opened")
        if depth == 0 and word in _BEGINS:
            raise ValueError(
                f"{word.upper()} stands in it, which begins another statement or writes; "
                "quote it if it is a name"
            )
        if depth == 0 and word == "select":
            if chosen and before not in _JOINS:
                raise ValueError("it is more than one statement")
            chosen = True
        before = word
    if depth:
        raise ValueError("a bracket is not closed")


def _in_quotes(match: re.Match[str], text: str) -> None:
    if not (match["text_end"] or match["name_end"] or match["tick_end"]):
        raise ValueError("a quote is not closed")
    if "\\" in text:
        raise ValueError(
            "a backslash stands in quotes, which databases read differently; write '' for a quote"
        )
    if inner := _PLACEHOLDER.search(text):
        raise ValueError(f"{inner.group()} stands in quotes: values are bound, and need none")
