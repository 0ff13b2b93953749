"""Burn rates: is the error budget spent too fast, over a long window and still over a short one?

Source: Google, "The Site Reliability Workbook", chapter 5, "Alerting on SLOs", table 5-8: multiwindow,
multi-burn-rate. A burn rate of 1 spends the budget of the whole period exactly. Both windows of a pair must
burn faster than the pair's rate: the long one shows that it matters, the short one that it still goes on. A
page is ``fail``; a ticket is ``inconclusive``, since it asks for a person and not for haste.

While a window is not full, it is what there is of it; but no pair is judged before its short window is full.
"""

from __future__ import annotations

import math
from typing import Any

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.document import BadDocument, Document, MetricData, Window
from relman_plugins.judge.report import Finding, plural
from relman_plugins.judge.series import pairs

WINDOWS = (
    Window(long="1h", short="5m", burn_rate=14.4, severity="page"),
    Window(long="6h", short="30m", burn_rate=6, severity="page"),
    Window(long="3d", short="6h", burn_rate=1, severity="ticket"),
)
"""The Workbook's table: 2 % of a month's budget in an hour, 5 % in six hours, 10 % in three days."""


def burned(metric: MetricData, document: Document, path: str) -> Finding:
    """Judge the budget of one metric: at each look, until a page."""
    if metric.objective is None:
        raise BadDocument(
            path, 'an objective is missing: the share that must be good, such as "objective": 0.999'
        )
    if metric.kind != "proportion":
        raise BadDocument(f"{path}.kind", f"slo judges proportions; found {metric.kind}")
    looks = [
        (0.0, 0.0) if math.isnan(n) else (b, n) for b, n in pairs(metric.experiment, f"{path}.experiment")
    ]
    windows = document.windows if document.windows is not None else list(WINDOWS)
    budget = 1 - metric.objective
    bad, total = [0.0], [0.0]
    fired: dict[str, tuple[int, str]] = {}
    for look, (b, n) in enumerate(looks, start=1):
        bad.append(bad[-1] + b)
        total.append(total[-1] + n)
        for window in windows:
            long, short = _sizes(window, document.interval)
            slow, fast = _rate(bad, total, long, budget), _rate(bad, total, short, budget)
            enough = total[-1] - total[max(0, look - long)] >= (metric.min_samples or 0)
            if look >= short and enough and min(slow, fast) > window.burn_rate * (1 + 1e-9):
                said = (
                    f"burns {slow:.3g} times as fast as allowed over {window.long} and {fast:.3g} over "
                    f"{window.short}; {window.burn_rate:g} is the limit"
                )
                fired.setdefault(window.severity, (look, said))
        if "page" in fired:
            break
    return _found(metric, document, windows, bad, total, fired)


def _sizes(window: Window, interval: str) -> tuple[int, int]:
    """Return the two windows in looks, rounded up."""
    each = seconds(interval)
    return math.ceil(seconds(window.long) / each), math.ceil(seconds(window.short) / each)


def _rate(bad: list[float], total: list[float], size: int, budget: float) -> float:
    begin = max(0, len(bad) - 1 - size)
    requests = total[-1] - total[begin]
    return (bad[-1] - bad[begin]) / requests / budget if requests > 0 else 0.0


def _found(
    metric: MetricData,
    document: Document,
    windows: list[Window],
    bad: list[float],
    total: list[float],
    fired: dict[str, tuple[int, str]],
) -> Finding:
    looks = len(total) - 1
    if total[-1] == 0:
        verdict = Verdict.FAIL if metric.must_have_data else Verdict.NO_DATA
        return Finding.of(metric, "Nodata", "no requests", verdict, critical=metric.critical)
    burn = _rate(bad, total, looks, 1 - (metric.objective or 0))
    spent = burn * looks * seconds(document.interval) / seconds(document.period)
    known: dict[str, Any] = {
        "effect": burn,
        "details": (
            f"{bad[-1]:g} of {total[-1]:g} requests bad in {plural(looks)} of {document.interval}",
            f"burn rate {burn:.3g}: {100 * spent:.3g} % of the budget of {document.period} is spent",
        ),
        "more": {"looks": looks, "budget_spent": spent},
    }
    for severity, verdict in (("page", Verdict.FAIL), ("ticket", Verdict.INCONCLUSIVE)):
        if severity in fired:
            look, said = fired[severity]
            reason = f"{severity} at look {look}: {said}"
            return Finding.of(metric, "High", reason, verdict, critical=metric.critical, **known)
    if all(looks < _sizes(window, document.interval)[1] for window in windows):
        return Finding.of(metric, "Nodata", f"no short window is full after {plural(looks)}", **known)
    return Finding.of(metric, "Pass", f"burn rate {burn:.3g}, no window above its limit", **known)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """Return what a checked duration such as ``30s``, ``5m``, ``6h`` or ``3d`` is in seconds."""
    return int(text[:-1]) * _UNITS[text[-1]]
