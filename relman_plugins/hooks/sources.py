"""Connection types of the sources of numbers: one for each kind that is asked over HTTP."""

from __future__ import annotations

from typing import Any

from relman_plugins.hooks.connections import TestedHook


class _SourceConnectionHook(TestedHook):
    """A source of numbers; ``kind`` is its name in specs."""

    kind: str

    def _asked(self, connection: Any) -> str:
        from relman_plugins.hooks.metrics import checked

        return checked(self.kind, connection)


class PrometheusConnectionHook(_SourceConnectionHook):
    """A metrics server that analyses ask: whatever answers Prometheus's query API."""

    conn_name_attr = "prometheus_conn_id"
    default_conn_name = "relman_metrics"
    conn_type = "relman_prometheus"
    hook_name = "relman metrics (Prometheus)"
    kind = "prometheus"


class LokiConnectionHook(_SourceConnectionHook):
    """A server of logs."""

    conn_name_attr = "loki_conn_id"
    default_conn_name = "relman_loki"
    conn_type = "relman_loki"
    hook_name = "relman metrics (Loki)"
    kind = "loki"


class ElasticsearchConnectionHook(_SourceConnectionHook):
    """A cluster that holds logs: Elasticsearch or OpenSearch."""

    conn_name_attr = "elasticsearch_conn_id"
    default_conn_name = "relman_elasticsearch"
    conn_type = "relman_elasticsearch"
    hook_name = "relman metrics (Elasticsearch)"
    kind = "elasticsearch"


class JsonConnectionHook(_SourceConnectionHook):
    """Any server that answers in JSON."""

    conn_name_attr = "json_conn_id"
    default_conn_name = "relman_json"
    conn_type = "relman_json"
    hook_name = "relman metrics (JSON over HTTP)"
    kind = "json"


class GraphiteConnectionHook(_SourceConnectionHook):
    """A Graphite server."""

    conn_name_attr = "graphite_conn_id"
    default_conn_name = "relman_graphite"
    conn_type = "relman_graphite"
    hook_name = "relman metrics (Graphite)"
    kind = "graphite"


class InfluxDbConnectionHook(_SourceConnectionHook):
    """An InfluxDB."""

    conn_name_attr = "influxdb_conn_id"
    default_conn_name = "relman_influxdb"
    conn_type = "relman_influxdb"
    hook_name = "relman metrics (InfluxDB)"
    kind = "influxdb"


class DatadogConnectionHook(_SourceConnectionHook):
    """A site of Datadog."""

    conn_name_attr = "datadog_conn_id"
    default_conn_name = "relman_datadog"
    conn_type = "relman_datadog"
    hook_name = "relman metrics (Datadog)"
    kind = "datadog"


class NewRelicConnectionHook(_SourceConnectionHook):
    """An account of New Relic."""

    conn_name_attr = "newrelic_conn_id"
    default_conn_name = "relman_newrelic"
    conn_type = "relman_newrelic"
    hook_name = "relman metrics (New Relic)"
    kind = "newrelic"


class GoogleConnectionHook(_SourceConnectionHook):
    """A project of Google Cloud Monitoring."""

    conn_name_attr = "google_conn_id"
    default_conn_name = "relman_google"
    conn_type = "relman_google"
    hook_name = "relman metrics (Google Cloud Monitoring)"
    kind = "google"


class CloudWatchConnectionHook(_SourceConnectionHook):
    """A region of CloudWatch."""

    conn_name_attr = "cloudwatch_conn_id"
    default_conn_name = "relman_cloudwatch"
    conn_type = "relman_cloudwatch"
    hook_name = "relman metrics (CloudWatch)"
    kind = "cloudwatch"
