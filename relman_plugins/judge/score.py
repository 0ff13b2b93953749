"""From findings to a score and a verdict, as Kayenta does it, without its faults.

A group's score is its share of metrics that pass, in percent; metrics without data are left out, and a group
of nothing else counts as 100. The score is the weighted mean of the groups, rounded to two decimals. It is 0
if a critical metric failed, or if half of the metrics or more (``thresholds.nodata``) have no data.

Otherwise than in Kayenta: weights above 100 are refused when the document is read (there they make the weight
of the other groups negative); weights of less than 100 are brought to 100 when no group is left to take the
rest, or a group has no metric that decides; ``pass`` and ``marginal`` both belong to the better side, always;
and what failed for want of data is ``no_data``, which asks people, rather than ``fail``, which rolls back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.algebra import deciding, together, worst
from relman_plugins.judge.document import Thresholds
from relman_plugins.judge.report import Finding, Report

UNGROUPED = "default"
"""The group of metrics that name none."""


def scored(
    method: str, findings: Sequence[Finding], weights: Mapping[str, float], thresholds: Thresholds
) -> Report:
    """Return the report on findings of which the score decides."""
    score, groups = summary(findings, weights)
    verdict, reason, score = _verdict(deciding(findings), score, thresholds)
    rounded = {name: round(share, 2) for name, share in groups.items()}
    return Report(method, verdict, reason, score, rounded, tuple(findings))


def reported(
    method: str,
    findings: Sequence[Finding],
    weights: Mapping[str, float],
    thresholds: Thresholds,
    prefix: str = "",
) -> Report:
    """Return the report on findings of which each decides by itself; the score is shown beside.

    The score is 0 where it would be 0 if it decided: for a veto, or for want of data.
    """
    score, groups = summary(findings, weights)
    rounded = {name: round(share, 2) for name, share in groups.items()}
    verdict, reason = together(findings, thresholds)
    counted = deciding(findings)
    without = [f for f in counted if f.classification == "Nodata" and f.verdict is not Verdict.FAIL]
    vetoed = any(f.critical and f.classification != "Pass" for f in counted)
    if vetoed or 100 * len(without) >= thresholds.nodata * len(counted):
        score = 0.0
    return Report(method, verdict, prefix + reason, score, rounded, tuple(findings))


def summary(findings: Sequence[Finding], weights: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Return the score before any veto, and the score of each group."""
    members: dict[str, list[Finding]] = {}
    for finding in deciding(findings):
        for group in finding.groups or (UNGROUPED,):
            members.setdefault(group, []).append(finding)
    groups = {name: _share(inside) for name, inside in members.items()}
    free = [name for name in groups if name not in weights]
    rest = (100 - sum(weights.values())) / len(free) if free else 0.0
    parts = {name: weights.get(name, rest) for name in groups}
    # Of a group that is weighed and has no metric that decides, nobody knows anything: it has no part in it.
    total = sum(parts.values())
    if total <= 0:
        return (100.0 if groups and min(groups.values()) == 100 else 0.0), groups
    return round(sum(groups[name] * part for name, part in parts.items()) / total, 2), groups


def _share(findings: Sequence[Finding]) -> float:
    counted = [
        f for f in findings if f.classification in ("Pass", "High", "Low") or f.verdict is Verdict.FAIL
    ]
    if not counted:
        return 100.0
    return 100 * sum(f.classification == "Pass" for f in counted) / len(counted)


def _verdict(findings: Sequence[Finding], score: float, thresholds: Thresholds) -> tuple[Verdict, str, float]:
    if not findings:
        return Verdict.NO_DATA, "no metric decides", 0.0
    vetoes = [f for f in findings if f.critical and f.classification != "Pass"]
    if vetoes:
        said = "; ".join(f"critical metric {f.name}: {f.reason}" for f in vetoes)
        return worst(vetoes), said, 0.0
    without = [f for f in findings if f.classification == "Nodata" and f.verdict is not Verdict.FAIL]
    if 100 * len(without) >= thresholds.nodata * len(findings):
        return worst(without), f"{len(without)} of {len(findings)} metrics have no data", 0.0
    failed = [f.name for f in findings if f.verdict is Verdict.FAIL]
    said = f"score {score:g}" + (f", because of {', '.join(failed)}" if failed else "")
    broken = [f for f in findings if f.verdict is Verdict.ERROR]
    if score < thresholds.marginal:
        return Verdict.FAIL, f"{said}; at least {thresholds.marginal:g} needed", score
    if broken:
        return Verdict.ERROR, "; ".join(f"{f.name}: {f.reason}" for f in broken), score
    if score < thresholds.pass_:
        return Verdict.INCONCLUSIVE, f"{said}: marginal; {thresholds.pass_:g} needed to pass", score
    return Verdict.PASS, f"{said}; {thresholds.pass_:g} needed", score
