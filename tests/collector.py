"""An OpenTelemetry collector: takes traces and metrics by OTLP over HTTP and keeps what came."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """One span, as it was sent."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    message: str
    attributes: dict[str, Any]


class Collector:
    """What was sent so far."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.metrics: dict[str, list[dict[str, Any]]] = {}
        self.url = ""

    @property
    def environment(self) -> dict[str, str]:
        """What tells Airflow to send here."""
        return {
            "AIRFLOW__TRACES__OTEL_ON": "True",
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_TRACES_EXPORTER": "otlp_proto_http",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_SERVICE_NAME": "airflow",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            sent = ExportTraceServiceRequest.FromString(body)
            self.spans += [_span(s) for r in sent.resource_spans for o in r.scope_spans for s in o.spans]
        elif path == "/v1/metrics":
            found = ExportMetricsServiceRequest.FromString(body)
            for metric in (m for r in found.resource_metrics for o in r.scope_metrics for m in o.metrics):
                points = [*metric.gauge.data_points, *metric.sum.data_points, *metric.histogram.data_points]
                self.metrics.setdefault(metric.name, []).extend(_attributes(p.attributes) for p in points)

    def named(self, name: str) -> list[Span]:
        return [s for s in list(self.spans) if s.name == name]


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


def _span(span: Any) -> Span:
    return Span(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        message=span.status.message,
        attributes=_attributes(span.attributes),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {p.key: getattr(p.value, p.value.WhichOneof("value")) for p in pairs}
