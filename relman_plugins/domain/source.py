"""Kinds of sources that numbers come from, as specs name them, and what each can be asked."""

from __future__ import annotations

from typing import Literal, NamedTuple

SourceName = Literal[
    "prometheus", "loki", "elasticsearch", "sql", "json", "graphite", "influxdb", "datadog", "newrelic",
    "google", "cloudwatch",
]  # fmt: skip

Take = Literal["mean", "max", "min", "sum", "last"]
"""What is made of a series: one number."""

DEFAULT: SourceName = "prometheus"


class SourceKind(NamedTuple):
    """What everybody has to know of a kind of source: specs, plans, clients and connections."""

    label: str
    """What people call it."""
    language: str
    """What its queries are written in."""
    series: Literal["may", "must", "never"] = "never"
    """Whether it is asked for a series over a time (``over``). Where it must, that time is told it beside the
    query, and a count's time too: then the query has no ``$window``."""
    takes: bool = True
    """Whether one number is taken of that series; not where it counts by itself."""
    shifts: bool = False
    """Whether a query can ask for an earlier time by ``$ago``, which is text such as 3600s."""
    counting: str = ""
    """A query that counts requests of a version, for hints."""


_PROMQL = 'sum(increase(requests_total{version="$version"}[$window]))'

KINDS: dict[str, SourceKind] = {
    "prometheus": SourceKind("Prometheus", "PromQL", "may", shifts=True, counting=_PROMQL),
    "loki": SourceKind(
        "Loki",
        "LogQL",
        "may",
        shifts=True,
        counting='sum(count_over_time({app="shop", version="$version"} |= "ERROR" [$window])) or vector(0)',
    ),
    "elasticsearch": SourceKind(
        "Elasticsearch",
        "an index and Lucene's query syntax",
        "must",
        takes=False,
        counting='logs-* log.level:error AND service.version:"$version"',
    ),
    "sql": SourceKind(
        "SQL database",
        "SQL",
        counting="SELECT count(*) FROM orders WHERE version = $version AND age_s < $window",
    ),
    "json": SourceKind(
        "JSON over HTTP",
        "a path and a JSONPath",
        shifts=True,
        counting="/stats?version=$version&seconds=$window $.requests",
    ),
    "graphite": SourceKind(
        "Graphite",
        "a target",
        "must",
        shifts=True,
        counting="sumSeries(seriesByTag('name=requests', 'version=$version'))",
    ),
    "influxdb": SourceKind(
        "InfluxDB",
        "InfluxQL",
        shifts=True,
        counting="SELECT sum(n) FROM requests WHERE version = '$version' AND time > now() - $window",
    ),
    "datadog": SourceKind(
        "Datadog", "Datadog's metric queries", "must", counting="sum:requests{version:$version}.as_count()"
    ),
    "newrelic": SourceKind(
        "New Relic",
        "NRQL",
        counting="SELECT count(*) FROM Transaction WHERE version = '$version' SINCE $window ago",
    ),
    "google": SourceKind("Google Cloud Monitoring", "PromQL", "may", shifts=True, counting=_PROMQL),
    "cloudwatch": SourceKind(
        "CloudWatch",
        "Metrics Insights or metric math",
        "must",
        counting="SELECT SUM(Requests) FROM SCHEMA(\"Shop\", Version) WHERE Version = '$version'",
    ),
}
"""Name in specs → kind."""
