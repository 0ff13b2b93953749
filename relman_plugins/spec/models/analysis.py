"""Analyses: named sets of metrics, with what they must be or compared with the old version's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, WithJsonSchema

from relman_plugins.domain.source import DEFAULT, SourceName, Take
from relman_plugins.spec.models.base import (
    ConnectionId,
    Count,
    Flag,
    Name,
    Number,
    Query,
    SpecModel,
    Whole,
)
from relman_plugins.spec.models.budget import Budget
from relman_plugins.spec.models.checklist import AnyOf
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.samples import Sampled


class Metric(SpecModel):
    """One number, and what it must be."""

    name: Name
    """Name of the metric, unique in its analysis."""
    query: Query
    """A query that gives one number.

    `$service`, `$environment`, `$version`, `$stable` and `$track` are filled in.
    """
    max: Number | None = None
    """The value passes when it is at most this."""
    min: Number | None = None
    """The value passes when it is at least this."""
    over: Duration | None = None
    """Ask for a series over this time up to now; left out: the number as it is now."""
    take: Take = "mean"
    """What is taken of the series: its mean, largest, smallest or newest value, or its sum."""
    samples: Query | None = None
    """A query that counts what the value rests on."""
    min_samples: Annotated[Number, Field(ge=0)] = 0
    """With fewer samples than this a look has no data: it neither passes nor fails."""
    tolerated_failures: Whole = 0
    """How many failed looks are still acceptable; the next one fails the analysis."""
    unit: Annotated[str, StringConstraints(max_length=20)] = ""
    """Unit of the value, for people: `s`, `ratio`, `%`."""


class Analysis(SpecModel):
    """A set of metrics from one source. All of them must pass."""

    judge: Annotated[
        Literal["thresholds", "sequential", "mann_whitney", "slo"],
        WithJsonSchema({"const": "thresholds", "type": "string"}),
    ] = "thresholds"
    """How the numbers are judged: each by its own limits."""
    source: SourceName = DEFAULT
    """What kind of source it is that the connection leads to."""
    connection: ConnectionId
    """Airflow connection id of the source."""
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=50)]
    """The metrics that are looked at together."""


class ComparedMetric(SpecModel):
    """A share of requests that is bad, of the new version and of the old one."""

    name: Name
    """Name of the metric, unique in its analysis."""
    bad: Query
    """A query that counts the bad requests of `$version` in the last `$window`."""
    total: Query
    """A query that counts all requests of `$version` in the last `$window`."""
    max: Annotated[Number, Field(gt=0, lt=1)] | None = None
    """A bad share of the new version above this is harm by itself, whatever the old version's is."""
    min_samples: Count = 50
    """Requests that each version must have had before the metric passes."""


class Comparison(SpecModel):
    """A set of metrics, by which the new version is compared with the old one that serves beside it."""

    judge: Literal["sequential"]
    """How the numbers are judged: by the evidence that the new version is worse, after every look."""
    source: SourceName = DEFAULT
    """What kind of source it is that the connection leads to."""
    connection: ConnectionId
    """Airflow connection id of the source."""
    metrics: Annotated[tuple[ComparedMetric, ...], Field(min_length=1, max_length=50)]
    """The metrics that are looked at together."""
    tolerance: Annotated[Number, Field(gt=0, le=10)] = 0.25
    """Harm that is to be ruled out: a bad share of more than `1 + tolerance` times the old version's."""
    false_alarms: Annotated[Number, Field(ge=0.0001, le=0.2)] = 0.02
    """Chance of failing a version that is no worse: of a stage's looks, metrics and weights together."""
    undecided: Literal["inconclusive", "pass"] = "inconclusive"
    """What it means when neither is certain after the last look: people are asked, or it passes."""
    early_pass: Flag = False
    """Whether it ends with the first look that rules out harm beyond the tolerance."""


JUDGES: dict[str, type[Comparison | Sampled | Budget]] = {
    "sequential": Comparison,
    "mann_whitney": Sampled,
    "slo": Budget,
}
"""The analyses that are judged otherwise than by limits."""


def _kind(value: Any) -> str:
    if not isinstance(value, dict):
        return type(value).__name__
    judge = value.get("judge")
    return (JUDGES.get(judge, Analysis) if isinstance(judge, str) else Analysis).__name__


AnyAnalysis = Annotated[
    Annotated[Analysis, Tag("Analysis")]
    | Annotated[Comparison, Tag("Comparison")]
    | Annotated[Sampled, Tag("Sampled")]
    | Annotated[Budget, Tag("Budget")],
    Discriminator(_kind),
    AnyOf(),
]
"""Thresholds, a comparison, samples or a budget; ``judge`` says which."""
