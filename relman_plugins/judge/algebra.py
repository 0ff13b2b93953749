"""One algebra for all judges: what several metrics say together.

* The order is ``Verdict.severity``: pass, no_data, inconclusive, error, fail.
* A critical metric vetoes: together the metrics are never better than it.
* An advisory (muted) metric never decides, whatever it says.
* Missing data alone never fails (only a metric that must have data does), and never passes either.
"""

from __future__ import annotations

from collections.abc import Iterable

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.report import Finding


def deciding(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that may decide."""
    return [finding for finding in findings if not finding.muted]


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst that the deciding findings say; of none, ``no_data``."""
    return Verdict.worst([finding.verdict for finding in deciding(findings)])


def reasons(findings: Iterable[Finding], verdict: Verdict) -> str:
    """Say which deciding findings have this verdict, and why."""
    return "; ".join(f"{f.name}: {f.reason}" for f in deciding(findings) if f.verdict is verdict)
