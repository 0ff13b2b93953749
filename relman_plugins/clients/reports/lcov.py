"""LCOV tracefiles: coverage as lcov, gcov, Istanbul, cargo-llvm-cov and Dart write it.

One file may have several records, one for each test that ran it: a line counts once, and ran when any of them
ran it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relman_plugins.clients.reports import source as files
from relman_plugins.clients.reports.coverage import Coverage
from relman_plugins.errors import ClientRejected

_END = "end_of_record"


def read(source: Path | bytes, since: float | None = None) -> Coverage:
    """Read a tracefile or its content; ``since`` as in ``source.content``.

    Raises:
        ClientRejected: The file is not to be read, is not a whole LCOV tracefile, or counts nothing.
    """
    found, where = files.content(source, "the LCOV report", since=since)
    text = files.text(found, where)
    files.need("lcov")
    lines: dict[tuple[str, int], bool] = {}
    branches: dict[tuple[str, int], tuple[int, int]] = {}
    try:
        for record in _records(text):
            for name, number, line in _lines(record):
                place = (name, number)
                hits, taken = int(line["hits"]), (line["branches-covered"], line["branches-total"])
                if hits < 0:
                    raise ValueError(f"{hits} hits of line {number} in {name}")
                lines[place] = lines.get(place, False) or hits > 0
                if line["branches-total"]:
                    branches[place] = max(branches.get(place, taken), taken)
    except (AttributeError, LookupError, NameError, TypeError, ValueError) as error:
        # The library takes a line to pieces without looking at it first.
        raise ClientRejected(f"{where} is not a whole LCOV tracefile: {str(error)[:200]}") from None
    if not lines:
        raise ClientRejected(f"{where} has no lines: nothing was measured")
    return Coverage(
        lines=len(lines),
        covered_lines=sum(lines.values()),
        branches=sum(there for _, there in branches.values()),
        covered_branches=sum(taken for taken, _ in branches.values()),
    )


def _records(text: str) -> Iterator[str]:
    """Yield the records one by one; raise ValueError when one has no file, or the last one no end.

    The library drops a record without an end, and keeps only the last of several of one file.
    """
    record: list[str] = []
    for line in text.splitlines():
        record.append(line)
        if line.strip() == _END:
            if sum(each.startswith("SF:") for each in record) != 1:
                raise ValueError("a record that is not of exactly one file (SF:)")
            yield "\n".join(record)
            record = []
    rest = [line for line in record if line.strip()]
    if rest:
        raise ValueError(f"it ends without {_END}, so the suite may have been stopped while it wrote")


def _lines(record: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    from lcov_cobertura import LcovCobertura

    parsed: dict[str, Any] = LcovCobertura(record).parse()
    for package in parsed["packages"].values():
        for name, file in package["classes"].items():
            for number, line in file["lines"].items():
                yield name, number, line
