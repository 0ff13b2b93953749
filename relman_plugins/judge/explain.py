"""Why a report says what it says, in words."""

from __future__ import annotations

from collections.abc import Iterator

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.document import Document
from relman_plugins.judge.report import Finding, Report

_METHODS = {
    "mann_whitney": (
        "Mann-Whitney: a metric is High or Low if the {confidence:g} interval of its shift lies beyond "
        "{tolerance:g} times the estimated shift, and the effect size is not within what is allowed. "
        "Once, at the end: looking again and again would find harm by chance."
    ),
    "threshold": (
        "Threshold: each look at the experiment is compared with max and min. More failed looks than "
        "tolerated fail at once; after the last look a metric passes if that look passed."
    ),
    "slo": (
        "SLO: the error budget must not burn faster than a pair of windows allows, in both of them. A page "
        "fails, a ticket asks people."
    ),
    "sequential": (
        "Sequential: judged after every look, and stopped when it is decided. The chance of finding harm "
        "where there is none is at most {alpha:.4g}, over all looks and all metrics together; so is the "
        "chance of passing early what has more than {tolerance:g} times as much harm again."
    ),
}
_MEANINGS = {
    Verdict.PASS: "The release may go on.",
    Verdict.FAIL: "In a release, traffic goes back at once.",
    Verdict.ERROR: "Nothing is promoted; people are asked.",
    Verdict.INCONCLUSIVE: "The numbers decide neither way; nothing is promoted, people are asked.",
    Verdict.NO_DATA: "Too much is missing to judge; nothing is promoted, people are asked.",
}


def explained(document: Document, report: Report) -> Iterator[str]:
    """Yield lines: the method, each metric in its turn, how they were put together, and what follows."""
    known = {"confidence": document.confidence, "alpha": 1 - document.confidence}
    yield _METHODS[report.method].format(tolerance=document.tolerance, **known)
    for finding in report.metrics:
        yield ""
        yield from _metric(finding)
    yield ""
    for name, part in report.groups.items():
        weight = document.group_weights.get(name)
        yield f"group {name}: {part:g} of 100" + (f", weight {weight:g} %" if weight is not None else "")
    yield f"verdict {report.verdict.value}: {report.reason}. {_MEANINGS[report.verdict]}"


def _metric(finding: Finding) -> Iterator[str]:
    yield f"{finding.name}: {finding.classification}, {finding.reason}."
    for line in finding.details:
        yield f"  {line}"
    if finding.muted:
        yield "  advisory: it is shown and does not decide"
    if finding.critical and finding.classification != "Pass":
        yield "  critical: alone it keeps the release from passing, and the score is 0"
