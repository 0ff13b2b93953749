"""What is judged: one JSON document with the method, the metrics and their numbers.

``reading.read`` is the only way in for text from outside. It raises ``BadDocument`` with the place of the
fault as a JSON path (``$.metrics[2].control[17]``), whatever the text is.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.confidence import SUREST
from relman_plugins.errors import RelmanError


class BadDocument(RelmanError):
    """The text is not a document that can be judged; ``path`` says where."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class _Strict(Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, strict=True, allow_inf_nan=False)


Ratio = Annotated[float, Field(ge=0, le=1e6)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[smhd]$")]
Name = Annotated[str, Field(min_length=1, max_length=500)]


class EffectSize(_Strict):
    """How large a change must be, besides being certain, to count."""

    measure: Literal["mean_ratio", "cles"] = "mean_ratio"
    allowed_increase: Ratio | None = None
    """Counts as High at this effect or above; None is no change: 1 for ``mean_ratio``, 0.5 for ``cles``."""
    allowed_decrease: Ratio | None = None
    """Counts as Low at this effect or below; None is no change."""
    critical_increase: Ratio | None = None
    """From here on a critical metric that is High forces the score to 0; None is no change."""
    critical_decrease: Ratio | None = None

    @property
    def no_change(self) -> float:
        """The effect of two equal samples."""
        return 0.5 if self.measure == "cles" else 1.0


class Outliers(_Strict):
    """What happens to extreme values."""

    strategy: Literal["keep", "remove"] = "keep"
    factor: Annotated[float, Field(gt=0, le=1e6)] = 3.0
    """Distance of the fences from the quartiles, in interquartile ranges."""
    reduce_sensitivity: bool = True
    """Nothing between the 1st and the 99th percentile is an outlier."""


class MetricData(_Strict):
    """One metric, and its numbers of the old version (control) and of the new one (experiment)."""

    name: Name
    kind: Literal["values", "proportion", "count"] = "values"
    control: list[Any] = Field(default_factory=list)
    experiment: list[Any] = Field(default_factory=list)
    direction: Literal["increase", "decrease", "either"] = "either"
    """Which change is harmful."""
    nan_strategy: Literal["remove", "replace"] = "remove"
    critical: bool = False
    must_have_data: bool = False
    muted: bool = False
    """Advisory: judged and shown, never decides."""
    effect_size: EffectSize = Field(default_factory=EffectSize)
    outliers: Outliers = Field(default_factory=Outliers)
    groups: list[Name] = Field(default_factory=list)
    max: float | None = None
    """``threshold``: a value up to this passes. ``sequential``: a bad share above this is harm by itself."""
    min: float | None = None
    """``threshold``: a value from this on passes."""
    tolerated_failures: Count = 0
    """``threshold``: how many failed looks are still acceptable, inclusive."""
    warm_up: Count = 0
    """``threshold``: how many looks at the beginning are left out."""
    objective: Annotated[float, Field(gt=0, lt=1)] | None = None
    """``slo``: the share of requests that must be good."""
    min_samples: Annotated[float, Field(ge=0)] | None = None
    """What each arm must have had; None is the method's own."""
    buckets: list[float] = Field(default_factory=list)
    """``sequential``: upper bounds of a histogram; each look is then a list of counts, one above."""
    classification: Literal["Pass", "High", "Low", "Nodata", "Error"] | None = None
    """Given instead of numbers: the metric is only scored."""


class Thresholds(_Strict):
    """What a score means; both limits belong to the better side."""

    pass_: Annotated[Percent, Field(alias="pass")] = 95.0
    marginal: Percent = 75.0
    nodata: Annotated[float, Field(gt=0, le=100)] = 50.0
    """Share of metrics without data, in percent, from which on the score is 0."""


class Window(_Strict):
    """A pair of windows, and how fast the budget may burn in both."""

    long: Duration
    short: Duration
    burn_rate: Annotated[float, Field(gt=0, le=1e6)]
    severity: Literal["page", "ticket"] = "page"


class Document(_Strict):
    """What is judged, and how."""

    method: Literal["mann_whitney", "sequential", "threshold", "slo"] = "mann_whitney"
    metrics: list[MetricData]
    group_weights: dict[str, Percent] = Field(default_factory=dict)
    """Percent of the score; groups without a weight share equally what is left of 100."""
    thresholds: Thresholds = Field(default_factory=Thresholds)
    confidence: Annotated[float, Field(gt=0, le=SUREST)] = 0.98
    tolerance: Ratio = 0.25
    horizon: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """``sequential``: looks that are planned; None: what is there is all."""
    tolerated_errors: Count = 4
    """``threshold``: how many looks in a row may go unanswered, inclusive."""
    windows: Annotated[list[Window], Field(min_length=1)] | None = None
    """``slo``: None is the table of Google's SRE Workbook."""
    interval: Duration = "1m"
    """``slo``: time from look to look."""
    period: Duration = "30d"
    """``slo``: what the budget is for."""
    undecided: Literal["pass", "inconclusive"] = "pass"
    """``sequential``: what it is called when after the last look neither is certain, and data was enough."""


def kind_of(value: Any) -> str:
    """Say in JSON's words what a value is, without repeating much of it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"the text {json.dumps(value[:40])}" + ("…" if len(value) > 40 else "")
    if isinstance(value, (int, float)):
        return str(value) if isinstance(value, float) or value.bit_length() < 200 else "a huge number"
    return "a list" if isinstance(value, list) else "an object"
