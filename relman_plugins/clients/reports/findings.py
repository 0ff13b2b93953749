"""Findings of scanners: counts by severity, held against limits. The formats are files of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from relman_plugins.clients.reports.reading import Before, Reading
from relman_plugins.domain.base import Frozen

MAX_FINDINGS = 5000
"""How many findings of a report are read: each is remembered for the next release."""

MAX_NAMED = 50
"""How many findings are kept by name, the worst first; all are counted."""


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Finding(Frozen):
    """One thing that a scanner found and nobody suppressed."""

    rule: str
    severity: Severity
    where: str
    """``<file>:<line>``, as far as the report says it."""
    message: str
    fingerprint: str
    """Unique in the report; the same thing has the same one in the next release's report."""
    baseline: str | None = None
    """What the scanner itself says of it: ``new``, ``unchanged``, ``updated``; None when it does not."""


class Findings(Frozen):
    """What a scanner found."""

    found: tuple[Finding, ...]
    suppressed: int = 0
    """How many more it found that are suppressed: they are counted and held against no limit."""


def judge(report: Findings, limits: dict[str, Any], before: Before | None) -> Reading:
    """Hold findings against their limits, all of them inclusive.

    Args:
        report: What was found.
        limits: ``max``, severity to how many are acceptable (None is no limit), and ``new_only``: whether
            findings that are not new are only counted.
        before: The latest release that succeeded. A finding is new when the scanner says so; when it says
            nothing of the kind, when that release had none of the same fingerprint; without such a release
            every finding is new.
    """
    new = _new(report.found, before)
    held = new if limits.get("new_only") else report.found
    counts, new_counts = (_by_severity(each) for each in (report.found, new))
    text = f"{_said(counts)}; {len(new)} new" + (
        f", {report.suppressed} suppressed" if report.suppressed else ""
    )
    missed = ""
    for severity, count in _by_severity(held).items():
        most = (limits.get("max") or {}).get(severity)
        if most is not None and count > most:
            first = next(f for f in held if f.severity == severity)
            kind = f"new {severity}" if limits.get("new_only") else str(severity)
            missed = f"at most {most} {kind} acceptable; first: {first.rule} in {first.where}"
            break
    worst = sorted(held, key=lambda f: list(Severity).index(f.severity))
    return Reading(
        passed=not missed,
        reason=f"{text}; {missed}" if missed else text,
        blemished=bool(report.found),
        data={
            "counts": counts,
            "new": new_counts,
            "suppressed": report.suppressed,
            "new_only": bool(limits.get("new_only")),
            "compared_with": before.version if before and before.fingerprints is not None else None,
            "named": [
                f.model_dump(mode="json", include={"rule", "severity", "where", "message"})
                for f in worst[:MAX_NAMED]
            ],
        },
        remembered={"fingerprints": [f.fingerprint for f in report.found]},
    )


def _new(found: Sequence[Finding], before: Before | None) -> tuple[Finding, ...]:
    if any(f.baseline is not None for f in found):
        # A result without the mark beside others that have it is one the baseline did not know.
        return tuple(f for f in found if f.baseline in (None, "new"))
    known = before.fingerprints if before is not None and before.fingerprints is not None else frozenset()
    return tuple(f for f in found if f.fingerprint not in known)


def _by_severity(found: Sequence[Finding]) -> dict[str, int]:
    counted = Counter(f.severity for f in found)
    return {severity.value: counted[severity] for severity in Severity if counted[severity]}


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {severity}" for severity, count in counts.items()) or "no findings"
