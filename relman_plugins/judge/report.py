"""What a judge says: a verdict, a score, and for each metric why."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.document import MetricData

Label = Literal["Pass", "High", "Low", "Nodata", "Error"]

_VERDICTS: dict[Label, Verdict] = {
    "Pass": Verdict.PASS,
    "High": Verdict.FAIL,
    "Low": Verdict.FAIL,
    "Nodata": Verdict.NO_DATA,
    "Error": Verdict.ERROR,
}


@dataclass(frozen=True)
class Finding:
    """One metric, judged."""

    name: str
    classification: Label
    reason: str
    critical: bool = False
    """Whether this metric alone keeps the release from passing."""
    effect: float | None = None
    """The change, in the measure of the metric's ``effect_size``; 1 (or 0.5 for cles) is none."""
    interval: tuple[float | None, float | None] | None = None
    """Between which values the change lies, with the document's confidence."""
    verdict: Verdict = Verdict.PASS
    """What this metric says by itself."""
    muted: bool = False
    groups: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    """More words, for whoever asks why."""
    more: dict[str, Any] = field(default_factory=dict)
    """What only some methods say."""

    @classmethod
    def of(
        cls,
        metric: MetricData,
        label: Label,
        reason: str,
        verdict: Verdict | None = None,
        **more: Any,
    ) -> Finding:
        """Return a finding on ``metric``; without a verdict, with the one that goes with the label."""
        return cls(
            name=metric.name, classification=label, reason=reason,
            verdict=_VERDICTS[label] if verdict is None else verdict,
            muted=metric.muted, groups=tuple(metric.groups), **more,
        )  # fmt: skip

    def data(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return {
            "name": self.name,
            "classification": self.classification,
            "critical": self.critical,
            "reason": self.reason,
            "effect": _finite(self.effect),
            "interval": None if self.interval is None else [_finite(end) for end in self.interval],
            "verdict": self.verdict.value,
            "muted": self.muted,
            **self.more,
        }


@dataclass(frozen=True)
class Report:
    """All metrics together."""

    method: str
    verdict: Verdict
    reason: str
    score: float
    """0 to 100."""
    groups: dict[str, float]
    metrics: tuple[Finding, ...]
    more: dict[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """Return the report as JSON; what is not finite becomes null."""
        return {
            "verdict": self.verdict.value,
            "score": self.score,
            "groups": self.groups,
            "metrics": [finding.data() for finding in self.metrics],
            "method": self.method,
            "reason": self.reason,
            **self.more,
        }


def plural(looks: int) -> str:
    """Write a number of looks."""
    return f"{looks} look{'' if looks == 1 else 's'}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
