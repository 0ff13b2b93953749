"""Locust: the statistics that ``--csv`` (the file ``…_stats.csv``) or ``--json-file`` leave behind."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from relman_plugins.clients.reports import source as files
from relman_plugins.clients.reports.load import MAX_FIGURE, Load
from relman_plugins.errors import ClientRejected

_TOTAL = "Aggregated"
_COLUMNS = ("Name", "Request Count", "Failure Count", "Requests/s", "50%", "95%", "99%")


class _Entry(BaseModel):
    num_requests: int = Field(ge=0, le=MAX_FIGURE)
    num_failures: int = Field(ge=0, le=MAX_FIGURE)
    start_time: float = Field(ge=0, le=MAX_FIGURE)
    last_request_timestamp: float | None = Field(ge=0, le=MAX_FIGURE, default=None)
    response_times: dict[float, Annotated[int, Field(ge=0, le=MAX_FIGURE)]]
    """Milliseconds, rounded by Locust → how many requests."""


_ENTRIES = TypeAdapter(list[_Entry])


def read(source: Path | bytes, since: float | None = None) -> Load:
    """Read statistics from a file or from its content; ``since`` as in ``source.content``.

    Raises:
        ClientRejected: The file is not to be read, or is not a whole report of Locust.
    """
    found, where = files.content(source, "the Locust report", since=since)
    text = files.text(found, where).lstrip()
    try:
        return _from_json(text) if text.startswith("[") else _from_csv(text, where)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        raise ClientRejected(f"{where} is not a whole Locust report: {detail['msg']}"[:400]) from None
    except (ValueError, csv.Error) as error:
        raise ClientRejected(f"{where} has a figure that cannot be: {str(error)[:200]}") from None


def _from_csv(text: str, where: str) -> Load:
    rows = csv.DictReader(io.StringIO(text))
    missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise ClientRejected(
            f"{where} has no column {missing[0]!r}; it must be the file <prefix>_stats.csv that --csv writes"
        )
    # Locust writes the total last: without it the file was cut off. A request may be called so, too.
    total = next(reversed([row for row in rows if row["Name"]]), None)
    if (
        total is None
        or total["Name"] != _TOTAL
        or any(value is None for value in total.values())
        or not text.endswith("\n")
    ):
        raise ClientRejected(
            f"{where} has no whole row {_TOTAL!r}; the test may have been stopped while it wrote"
        )
    requests, errors = _number(total, "Request Count"), _number(total, "Failure Count")
    if requests is None or errors is None:
        raise ClientRejected(f"{where} does not say how many requests there were, or how many failed")
    return Load(
        tool="locust",
        requests=round(requests),
        errors=round(errors),
        rate=_number(total, "Requests/s"),
        p50=_number(total, "50%"),
        p95=_number(total, "95%"),
        p99=_number(total, "99%"),
    )


def _number(row: dict[str, str], name: str) -> float | None:
    if row[name] in ("", "N/A"):
        return None
    value = float(row[name])
    if not 0 <= value <= MAX_FIGURE:
        raise ValueError(f"{name} is {row[name]}")
    return value


def _from_json(text: str) -> Load:
    entries = _ENTRIES.validate_json(text)
    times: dict[float, int] = {}
    for entry in entries:
        for at, count in entry.response_times.items():
            if not 0 <= at <= MAX_FIGURE:
                raise ValueError(f"{count} requests of {at} ms")
            times[at] = times.get(at, 0) + count
    began = min((e.start_time for e in entries), default=0.0)
    ended = max((e.last_request_timestamp or 0.0 for e in entries), default=0.0)
    requests = sum(e.num_requests for e in entries)
    return Load(
        tool="locust",
        requests=requests,
        errors=sum(e.num_failures for e in entries),
        rate=requests / (ended - began) if ended > began else None,
        p50=_percentile(times, 50),
        p95=_percentile(times, 95),
        p99=_percentile(times, 99),
    )


def _percentile(times: dict[float, int], share: int) -> float | None:
    """Return the nearest-rank percentile of a histogram: the least time that ``share`` % did not exceed."""
    rank, seen = math.ceil(sum(times.values()) * share / 100), 0
    for at in sorted(times):
        seen += times[at]
        if seen >= rank > 0:
            return at
    return None
