"""Error budgets: burn rates over several windows, for watching over a longer time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from relman_plugins.domain.source import DEFAULT, SourceName
from relman_plugins.spec.models.base import ConnectionId, Name, Number, Query, SpecModel, Whole
from relman_plugins.spec.models.duration import Duration


class BudgetMetric(SpecModel):
    """A share of requests that must be good."""

    name: Name
    """Name of the metric, unique in its analysis."""
    objective: Annotated[Number, Field(gt=0, lt=1)]
    """The share of requests that must be good, such as `0.999`; the rest is the budget."""
    bad: Query
    """Counts the bad requests in the last `$window`."""
    total: Query
    """Counts all requests in the last `$window`."""
    min_samples: Whole = 0
    """Requests that the long window of a pair must have before the pair is judged."""


class BurnWindow(SpecModel):
    """A pair of windows; in both the budget must burn faster than the rate."""

    long: Duration
    """The window that shows that it matters."""
    short: Duration
    """The window that shows that it still goes on."""
    burn_rate: Annotated[Number, Field(gt=0, le=1_000_000)]
    """How many times as fast as allowed; the limit itself is still good."""
    severity: Literal["page", "ticket"] = "page"
    """What it means: traffic back at once (`page`), or people are asked at the end (`ticket`)."""


WORKBOOK = (
    BurnWindow(long=Duration(3_600), short=Duration(300), burn_rate=14.4),
    BurnWindow(long=Duration(21_600), short=Duration(1_800), burn_rate=6.0),
    BurnWindow(long=Duration(259_200), short=Duration(21_600), burn_rate=1.0, severity="ticket"),
)
"""Google, "The Site Reliability Workbook", table 5-8; the same as in ``relman judge``."""


class Budget(SpecModel):
    """A set of metrics with objectives, watched for how fast their error budgets burn."""

    judge: Literal["slo"]
    """How the numbers are judged: by how fast the error budget burns, over several windows."""
    source: SourceName = DEFAULT
    """What kind of source it is that the connection leads to."""
    connection: ConnectionId
    """Airflow connection id of the source."""
    metrics: Annotated[tuple[BudgetMetric, ...], Field(min_length=1, max_length=50)]
    """The metrics that are looked at together."""
    windows: Annotated[tuple[BurnWindow, ...], Field(min_length=1, max_length=10)] = WORKBOOK
    """Pairs of windows, and how fast the budget may burn in both."""
