"""Judge a document: the one way in for the command line, for steps and for replays."""

from __future__ import annotations

from relman_plugins.judge.document import Document
from relman_plugins.judge.limits import limited
from relman_plugins.judge.report import Report
from relman_plugins.judge.slo import burned


def judge(document: Document) -> Report:
    """Return what the document's method says of its metrics. The same document gives the same report.

    Raises:
        BadDocument: A metric's numbers are not what its kind asks for.
    """
    if document.method == "sequential":
        from relman_plugins.judge.sequential import judged

        return judged(document)
    from relman_plugins.judge.mann_whitney import classify, given
    from relman_plugins.judge.score import reported, scored

    one = {"mann_whitney": classify, "threshold": limited, "slo": burned}[document.method]
    findings = [
        given(metric) if metric.classification is not None else one(metric, document, f"$.metrics[{i}]")
        for i, metric in enumerate(document.metrics)
    ]
    together = scored if document.method == "mann_whitney" else reported
    return together(document.method, findings, document.group_weights, document.thresholds)
