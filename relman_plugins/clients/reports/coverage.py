"""Code coverage: counts of lines and branches, held against limits. The formats are files of their own."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pydantic import Field

from relman_plugins.clients.reports.reading import Before, Reading, percent
from relman_plugins.domain.base import Frozen


class Coverage(Frozen):
    """How much of the code ran."""

    lines: int = Field(ge=1)
    covered_lines: int = Field(ge=0)
    branches: int = Field(ge=0, default=0)
    """0 when the tool did not look at branches, or there are none."""
    covered_branches: int = Field(ge=0, default=0)

    @property
    def line(self) -> Fraction:
        """Share of the lines that ran, in percent."""
        return Fraction(100 * self.covered_lines, self.lines)

    @property
    def branch(self) -> Fraction | None:
        """Share of the branches that were taken, in percent; None without branches."""
        return Fraction(100 * self.covered_branches, self.branches) if self.branches else None


def judge(found: Coverage, limits: dict[str, Any], before: Before | None) -> Reading:
    """Hold coverage against its limits, all of them inclusive. Where no line ran, nothing was tested: red.

    Args:
        found: What the report says.
        limits: ``min_line``, ``min_branch`` in percent, ``max_drop`` in percentage points of line coverage
            since ``before``; None is no limit.
        before: The latest release that succeeded; without one nothing can have dropped.
    """
    change = _change(found, before)
    text = f"{percent(float(found.line))} of {found.lines} lines covered"
    if found.branch is not None:
        text += f", {percent(float(found.branch))} of {found.branches} branches"
    if change is not None and before is not None:
        text += f", {float(change):+.2f} points since {before.version}"
    missed = _missed(found, limits, change)
    data = found.model_dump(mode="json") | {
        "line": _rounded(found.line),
        "branch": _rounded(found.branch),
        "change": _rounded(change),
        "compared_with": before.version if change is not None and before is not None else None,
    }
    return Reading(passed=not missed, reason=f"{text}; {missed}" if missed else text, data=data)


def _missed(found: Coverage, limits: dict[str, Any], change: Fraction | None) -> str:
    line, branch, drop = (limits.get(key) for key in ("min_line", "min_branch", "max_drop"))
    if not found.covered_lines:
        return "no line ran, so nothing was tested"
    if line is not None and found.line < _exact(line):
        return f"at least {line:g} % of the lines must be covered"
    if branch is not None and found.branch is None:
        return "the report has no branches; let the tool measure them, or remove min_branch"
    if branch is not None and found.branch is not None and found.branch < _exact(branch):
        return f"at least {branch:g} % of the branches must be covered"
    if drop is not None and change is not None and -change > _exact(drop):
        return f"line coverage may drop by at most {drop:g} points"
    return ""


def _change(found: Coverage, before: Before | None) -> Fraction | None:
    recorded = before.coverage if before is not None else None
    if not recorded:
        return None
    try:
        return found.line - Fraction(100 * int(recorded["covered_lines"]), int(recorded["lines"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _exact(limit: float) -> Fraction:
    """Return the number as it was written: 0.1 is a tenth."""
    return Fraction(repr(limit))


def _rounded(value: Fraction | None) -> float | None:
    return None if value is None else round(float(value), 2)
