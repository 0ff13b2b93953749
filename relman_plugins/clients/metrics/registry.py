"""Which client asks which kind of source. Each is imported when a source of its kind is asked."""

from __future__ import annotations

from importlib import import_module

from relman_plugins.clients.metrics.base import Access, Source
from relman_plugins.domain.source import KINDS
from relman_plugins.errors import ClientRejected

_WEB = {
    "prometheus": "prometheus:Prometheus",
    "loki": "loki:Loki",
    "elasticsearch": "elasticsearch:Elasticsearch",
    "json": "json_http:JsonHttp",
    "graphite": "graphite:Graphite",
    "influxdb": "influxdb:InfluxDb",
    "datadog": "datadog:Datadog",
    "newrelic": "new_relic:NewRelic",
    "google": "google:Google",
    "cloudwatch": "cloudwatch:CloudWatch",
}
"""Kind → module and class of a client that needs an address and a login only."""


def source(kind: str, access: Access) -> Source:
    """Return the client of a kind of source; nothing is asked yet.

    Raises:
        ClientRejected: There is no such kind, or the address is none.
    """
    if kind not in _WEB:
        raise ClientRejected(f"no source is called {kind!r}; there are {', '.join(KINDS)}")
    module, name = _WEB[kind].split(":")
    found: Source = getattr(import_module(f"{__package__}.{module}"), name)(access)
    return found
