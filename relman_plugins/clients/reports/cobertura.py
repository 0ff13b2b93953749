"""Cobertura XML: coverage as coverage.py, gcovr, JaCoCo's converters and many others write it.

Lines are counted one by one, once for each file and number, whatever class they are listed under. The summary
in the root can only lower what they say.
"""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

from relman_plugins.clients.reports import source as files
from relman_plugins.clients.reports.coverage import Coverage
from relman_plugins.errors import ClientRejected

_CONDITIONS = re.compile(r"\((\d{1,9})/(\d{1,9})\)")


def read(source: Path | bytes, since: float | None = None) -> Coverage:
    """Read a report from a file or from its content; ``since`` as in ``source.content``.

    Raises:
        ClientRejected: The file is not to be read, is not Cobertura XML, or counts nothing.
    """
    found, where = files.content(source, "the Cobertura report", since=since)
    # The library's parser knows no bounds: what it gets was read by one that does.
    root = files.xml(found, where, doctype=True)
    if root.tag != "coverage":
        raise ClientRejected(
            f"{where} is not Cobertura XML: its root is <{root.tag[:60]}>; expected <coverage>"
        )
    files.need("cobertura")
    from pycobertura import Cobertura

    try:
        report: Any = Cobertura(io.BytesIO(found))
        lines, branches = _counted(report)
        rates = [_rate(report.xml.get(name)) for name in ("line-rate", "branch-rate")]
    except Cobertura.InvalidCoverageReport:
        raise ClientRejected(f"{where} is more than its parser takes; let the tool write less") from None
    except (KeyError, ValueError) as error:
        raise ClientRejected(
            f"{where} has a line or a rate that cannot be counted: {str(error)[:200]}"
        ) from None
    if not lines:
        raise ClientRejected(f"{where} has no lines: nothing was measured")
    total = sum(there for _, there in branches.values())
    return Coverage(
        lines=len(lines),
        covered_lines=_lower(sum(lines.values()), len(lines), rates[0]),
        branches=total,
        covered_branches=_lower(sum(covered for covered, _ in branches.values()), total, rates[1]),
    )


_Place = tuple[str, int]


def _counted(report: Any) -> tuple[dict[_Place, bool], dict[_Place, tuple[int, int]]]:
    """Return whether each line ran, and of lines with branches how many were taken out of how many."""
    lines: dict[_Place, bool] = {}
    branches: dict[_Place, tuple[int, int]] = {}
    for cls in report.xml.iterfind(".//class"):
        for line in cls.iterfind("lines/line"):
            _count(cls.attrib["filename"], line, lines, branches)
    return lines, branches


def _count(name: str, line: Any, lines: dict[_Place, bool], branches: dict[_Place, tuple[int, int]]) -> None:
    place, hits = (name, int(line.get("number", ""))), int(line.get("hits", ""))
    if hits < 0:
        raise ValueError(f"{hits} hits of line {place[1]} in {name}")
    lines[place] = lines.get(place, False) or hits > 0
    conditions = _CONDITIONS.search(line.get("condition-coverage") or "")
    if conditions:
        taken, there = (int(group) for group in conditions.groups())
        if taken > there:
            raise ValueError(f"{taken} of {there} branches in line {place[1]} of {name}")
        branches[place] = max(branches.get(place, (0, there)), (taken, there))


def _rate(text: str | None) -> float | None:
    if not text:
        return None
    value = float(text)
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError(f"a rate of {text}")
    return value


def _lower(covered: int, total: int, rate: float | None) -> int:
    """Return the covered ones, but no more than the summary's rate says; rates are rounded to four digits."""
    return covered if rate is None else min(covered, math.floor((rate + 0.0001) * total))
