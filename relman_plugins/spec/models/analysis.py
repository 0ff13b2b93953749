"""Analyses: named sets of metrics with what they must be."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from relman_plugins.spec.models.base import ConnectionId, Name, Number, SpecModel, Whole

Query = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
"""PromQL; ``$service``, ``$environment``, ``$version`` and ``$stable`` are filled in when it is asked."""


class Metric(SpecModel):
    """One number, and what it must be."""

    name: Name
    """Name of the metric, unique in its analysis."""
    query: Query
    """PromQL that gives one number; `$service`, `$environment`, `$version`, `$stable` are filled in."""
    max: Number | None = None
    """The value passes when it is at most this."""
    min: Number | None = None
    """The value passes when it is at least this."""
    samples: Query | None = None
    """PromQL that counts what the value rests on."""
    min_samples: Annotated[Number, Field(ge=0)] = 0
    """With fewer samples than this a look has no data: it neither passes nor fails."""
    tolerated_failures: Whole = 0
    """How many failed looks are still acceptable; the next one fails the analysis."""
    unit: Annotated[str, StringConstraints(max_length=20)] = ""
    """Unit of the value, for people: `s`, `ratio`, `%`."""


class Analysis(SpecModel):
    """A set of metrics from one metrics server. All of them must pass."""

    connection: ConnectionId
    """Airflow connection id of the metrics server."""
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=50)]
    """The metrics that are looked at together."""
