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
    yield _METHODS[report.method].format(confidence=document.confidence, tolerance=document.tolerance)
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
