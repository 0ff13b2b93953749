"""One algebra for all judges: what several metrics say together.

* The order is ``Verdict.severity``: pass, no_data, inconclusive, error, fail.
* A critical metric vetoes: together the metrics are never better than it.
* An advisory (muted) metric never decides, whatever it says.
* Missing data alone never fails (only a metric that must have data does), and never passes either.
"""

from __future__ import annotations

from collections.abc import Iterable

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.document import Thresholds
from relman_plugins.judge.report import Finding


def together(findings: Iterable[Finding], thresholds: Thresholds) -> tuple[Verdict, str]:
    """Return what findings say of which each decides by itself, and why.

    Harm in one is harm. Otherwise a veto counts, then too many without data, then the worst of the others.
    """
    counted = deciding(findings)
    if not counted:
        return Verdict.NO_DATA, "no metric decides"
    harmful = [f for f in counted if f.verdict is Verdict.FAIL]
    vetoes = [f for f in counted if f.critical and f.classification != "Pass"]
    for decisive in (harmful, vetoes):
        if decisive:
            return worst(decisive), reasons(decisive, worst(decisive))
    without = [f for f in counted if f.verdict is Verdict.NO_DATA]
    if 100 * len(without) >= thresholds.nodata * len(counted):
        return Verdict.NO_DATA, reasons(without, Verdict.NO_DATA)
    verdict = worst([f for f in counted if f.verdict is not Verdict.NO_DATA])
    return verdict, reasons(counted, verdict)


def deciding(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that may decide."""
    return [finding for finding in findings if not finding.muted]


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst that the deciding findings say; of none, ``no_data``."""
    return Verdict.worst([finding.verdict for finding in deciding(findings)])


def reasons(findings: Iterable[Finding], verdict: Verdict) -> str:
    """Say which deciding findings have this verdict, and why."""
    return "; ".join(f"{f.name}: {f.reason}" for f in deciding(findings) if f.verdict is verdict)
