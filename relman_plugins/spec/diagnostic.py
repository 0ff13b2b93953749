"""Diagnostics: what is wrong with a spec, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. Lines and columns count from 1, as editors do; ``end_column`` is exclusive."""

    code: str
    """``RM`` and three digits.

    0 YAML, 1 shape, 2 references and order, 3 safety, 4 calendars, 5 gates, 6 parameters.
    """
    severity: Severity
    """An ``error`` keeps the pipeline from loading, a ``warning`` doesn't."""
    message: str
    """One line: what was found, where, what was expected."""
    path: str
    """The file, as the caller named it."""
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1
    breadcrumb: str = ""
    """Where in the document: ``stage "production" > strategy > canary``."""
    hint: str = ""
    """What to do next, if that is not obvious."""

    @property
    def is_error(self) -> bool:
        """Whether this keeps the pipeline from loading."""
        return self.severity == "error"


def arrange(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics sorted by place, one for each place.

    Of several at one place the first error stays: what comes after it is usually its consequence.
    """
    first: dict[tuple[str, int, int], Diagnostic] = {}
    for found in diagnostics:
        place = (found.path, found.line, found.column)
        if place not in first or (found.is_error and not first[place].is_error):
            first[place] = found
    return tuple(first[place] for place in sorted(first))
