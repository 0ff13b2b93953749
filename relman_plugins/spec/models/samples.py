"""Samples of both versions, judged together at the end as Kayenta does it.

The keys are those of a file for ``relman judge``; see docs/reference/judge.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from relman_plugins.domain.source import DEFAULT, SourceName, Take
from relman_plugins.spec.models.base import ConnectionId, Flag, Line, Name, Number, Query, SpecModel
from relman_plugins.spec.models.duration import Duration

Ratio = Annotated[Number, Field(ge=0, le=1_000_000)]
Percent = Annotated[Number, Field(ge=0, le=100)]


class Effect(SpecModel):
    """How large a change must be, besides being certain, to count."""

    measure: Literal["mean_ratio", "cles"] = "mean_ratio"
    """What is measured: the ratio of the means, or the common language effect size."""
    allowed_increase: Ratio | None = None
    """Counts as High from this effect on; no change at all unless given."""
    allowed_decrease: Ratio | None = None
    """Counts as Low down from this effect; no change at all unless given."""
    critical_increase: Ratio | None = None
    """From here on a critical metric that is High makes the score 0."""
    critical_decrease: Ratio | None = None
    """Down from here a critical metric that is Low makes the score 0."""


class OutlierRule(SpecModel):
    """What happens to extreme values."""

    strategy: Literal["keep", "remove"] = "keep"
    """Whether they count."""
    factor: Annotated[Number, Field(gt=0, le=1_000_000)] = 3.0
    """Distance of the fences from the quartiles, in interquartile ranges."""
    reduce_sensitivity: Flag = True
    """Nothing between the 1st and the 99th percentile is an outlier."""


class SampledMetric(SpecModel):
    """One number, of the new version and of the old one."""

    name: Name
    """Name of the metric, unique in its analysis."""
    query: Query
    """Gives one number of `$version`; with `against: before` as of `$ago` before now."""
    over: Duration | None = None
    """Ask for a series over this time up to now; left out: the number as it is now."""
    take: Take = "mean"
    """What is taken of the series: its mean, largest, smallest or newest value, or its sum."""
    direction: Literal["increase", "decrease", "either"] = "either"
    """Which change is harmful."""
    critical: Flag = False
    """Whether this metric alone keeps the release from passing."""
    must_have_data: Flag = False
    """Whether having no data fails the metric."""
    muted: Flag = False
    """Advisory: judged and shown, never decides."""
    nan_strategy: Literal["remove", "replace"] = "remove"
    """What a look without a value is: nothing, or 0."""
    effect_size: Effect = Effect()
    """How large a change must be, besides being certain."""
    outliers: OutlierRule = OutlierRule()
    """What happens to extreme values."""
    groups: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    """The groups of the score that the metric counts in."""


class Score(SpecModel):
    """What a score means; both limits belong to the better side."""

    pass_: Percent = Field(default=95.0, alias="pass")
    """The score from which on the release goes on."""
    marginal: Percent = 75.0
    """The score from which on people are asked; below it the traffic goes back."""
    nodata: Annotated[Number, Field(gt=0, le=100)] = 50.0
    """Share of metrics without data, in percent, from which on nothing is judged."""


class Sampled(SpecModel):
    """A set of metrics of both versions, judged once all looks are there."""

    judge: Literal["mann_whitney"]
    """How the numbers are judged: by whether their distributions differ, once, at the end."""
    source: SourceName = DEFAULT
    """What kind of source it is that the connection leads to."""
    connection: ConnectionId
    """Airflow connection id of the source."""
    metrics: Annotated[tuple[SampledMetric, ...], Field(min_length=1, max_length=50)]
    """The metrics that are looked at together."""
    confidence: Annotated[Number, Field(gt=0, le=0.999_999)] = 0.98
    """Of each metric's interval."""
    tolerance: Ratio = 0.25
    """Part of the estimated shift that the interval must lie beyond."""
    thresholds: Score = Score()
    """What a score means."""
    group_weights: Annotated[dict[Line, Percent], Field(max_length=50)] = Field(default_factory=dict)
    """Percent of the score by group; groups without share equally what is left of 100."""
    against: Literal["beside", "before"] = "beside"
    """What the old version's numbers are: those beside the new one's, or (weaker) those before the change."""
    early_fail: Flag = False
    """Whether it may fail before the last look: a tenth of the chance of a false alarm is kept for that."""
