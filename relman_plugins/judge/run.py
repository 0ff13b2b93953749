"""Judge a document: the one way in for the command line, for steps and for replays."""

from __future__ import annotations

from relman_plugins.judge.document import Document
from relman_plugins.judge.report import Report


def judge(document: Document) -> Report:
    """Return what the document's method says of its metrics. The same document gives the same report.

    Raises:
        BadDocument: A metric's numbers are not what its kind asks for.
    """
    from relman_plugins.judge.mann_whitney import classify, given
    from relman_plugins.judge.score import scored

    findings = [
        given(metric) if metric.classification is not None else classify(metric, document, f"$.metrics[{i}]")
        for i, metric in enumerate(document.metrics)
    ]
    return scored(document.method, findings, document.group_weights, document.thresholds)
