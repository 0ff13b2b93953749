"""k6: the summary of a run, in each of the three forms that k6 writes.

``--summary-export`` has the values of a metric beside its thresholds, where true means that a threshold
*failed*: k6's ``internal/js/summary-wrapper.js`` writes ``!threshold.ok``, and its issue 1498 says that it
stays so. ``handleSummary``'s data has the values below ``values`` and thresholds as ``{ok: true}``. The
machine-readable summary of k6 1.5 and later (``internal/lib/summary/machine_readable.go``) has a list of
metrics and no thresholds: k6 says by its exit code that one failed. Times are milliseconds in all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relman_plugins.clients.reports import source as files
from relman_plugins.clients.reports.load import MAX_FIGURE, Load
from relman_plugins.errors import ClientRejected


class _Ok(BaseModel):
    ok: bool


class _Metric(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = ""
    values: dict[str, Any] | None = None
    thresholds: dict[str, bool | _Ok] = Field(default_factory=dict)

    def number(self, *keys: str) -> float | None:
        """Return the first of these values; raise ValueError for one that no measurement can have."""
        there = self.values if self.values is not None else self.model_extra or {}
        for key in keys:
            value = there.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{key} is not a number")
            if not 0 <= value <= MAX_FIGURE:
                raise ValueError(f"{key} is {str(value)[:40]}")
            return float(value)
        return None

    def failed(self) -> list[str]:
        """Return the thresholds that failed."""
        return [
            name
            for name, state in self.thresholds.items()
            if (not state.ok if isinstance(state, _Ok) else state)
        ]


class _Config(BaseModel):
    duration: float = Field(gt=0, allow_inf_nan=False)
    """Seconds."""


class _Results(BaseModel):
    metrics: list[_Metric]


class _Summary(BaseModel):
    metrics: dict[str, _Metric] | None = None
    results: _Results | None = None
    config: _Config | None = None


def read(source: Path | bytes, since: float | None = None) -> Load:
    """Read a summary from a file or from its content; ``since`` as in ``source.content``.

    Raises:
        ClientRejected: The file is not to be read, is not a whole summary, or has no HTTP requests in it.
    """
    found, where = files.content(source, "the k6 summary", since=since)
    try:
        summary = _Summary.model_validate_json(files.text(found, where))
    except ValidationError as error:
        raise ClientRejected(f"{where} is not a whole k6 summary: {_first(error)}") from None
    metrics = summary.metrics
    if metrics is None and summary.results is not None:
        metrics = {metric.name: metric for metric in summary.results.metrics}
    if metrics is None:
        raise ClientRejected(
            f"{where} has no metrics; write it with --summary-export, or whole in handleSummary"
        )
    try:
        return _load(metrics, summary.config, where)
    except ValueError as error:
        raise ClientRejected(f"{where} has a figure that cannot be: {error}") from None


def _load(metrics: dict[str, _Metric], config: _Config | None, where: str) -> Load:
    none = _Metric()
    made, failed, times = (
        metrics.get(name, none) for name in ("http_reqs", "http_req_failed", "http_req_duration")
    )
    requests, errors = made.number("count"), failed.number("passes", "matches")
    if requests is None:
        raise ClientRejected(f"{where} has no http_reqs: the script made no HTTP request")
    if errors is None:
        raise ClientRejected(f"{where} has no http_req_failed: nothing says how many requests failed")
    rate = made.number("rate")
    if rate is None and config is not None:
        rate = requests / config.duration
    return Load(
        tool="k6",
        requests=round(requests),
        errors=round(errors),
        rate=rate,
        p50=times.number("med", "p(50)"),
        p95=times.number("p(95)"),
        p99=times.number("p(99)"),
        thresholds=tuple(
            f"{name}: {threshold}"[: files.MAX_TEXT]
            for name, metric in sorted(metrics.items())
            for threshold in metric.failed()
        ),
    )


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    at = ".".join(str(part) for part in detail["loc"][:4])
    return f"{at}: {detail['msg']}"[:300] if at else str(detail["msg"])[:300]
