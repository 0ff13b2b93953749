"""Load tests: how many requests, how many failed, how fast. The tools' formats are files of their own."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pydantic import Field

from relman_plugins.clients.reports.reading import Reading, percent
from relman_plugins.domain.base import Frozen

MAX_FIGURE = 1e15
"""The largest figure that any measurement of a test can have: what is beyond is no measurement."""

MAX_NAMED = 20
"""How many of a tool's own failed thresholds are kept by name."""


class Load(Frozen):
    """What a load test measured. Times in milliseconds; None is what the report does not say."""

    tool: str
    requests: int = Field(ge=0, le=MAX_FIGURE)
    errors: int = Field(ge=0, le=MAX_FIGURE)
    rate: float | None = Field(ge=0, allow_inf_nan=False, default=None)
    """Requests a second."""
    p50: float | None = Field(ge=0, allow_inf_nan=False, default=None)
    p95: float | None = Field(ge=0, allow_inf_nan=False, default=None)
    p99: float | None = Field(ge=0, allow_inf_nan=False, default=None)
    thresholds: tuple[str, ...] = ()
    """The tool's own thresholds that failed, as ``<metric>: <threshold>``."""


def judge(found: Load, limits: dict[str, Any]) -> Reading:
    """Hold a load test against its limits, all of them inclusive.

    Args:
        found: What the summary says.
        limits: ``max_error_rate`` in percent, ``max_p50``, ``max_p95``, ``max_p99`` in milliseconds,
            ``min_rate`` in requests a second, ``min_requests``; None is no limit. Whatever they are, a test
            without requests and one that failed a threshold of its own did not pass.
    """
    error_rate = Fraction(100 * found.errors, found.requests) if found.requests else Fraction(0)
    text = f"{found.requests} requests, {percent(float(error_rate), up=True)} failed"
    text += f", {found.rate:.1f}/s" if found.rate is not None else ""
    for name in ("p50", "p95", "p99"):
        value = getattr(found, name)
        text += f", {name} {value:.1f} ms" if value is not None else ""
    missed = _missed(found, limits, error_rate)
    data = found.model_dump(mode="json") | {"thresholds": list(found.thresholds[:MAX_NAMED])}
    return Reading(
        passed=not missed,
        reason=f"{text}; {missed}" if missed else text,
        # k6 ends with an exit code for a threshold that failed, never for a request: nothing excuses it.
        blemished=found.errors > 0 and found.tool == "locust",
        data=data | {"error_rate": round(float(error_rate), 4)},
    )


def _missed(found: Load, limits: dict[str, Any], error_rate: Fraction) -> str:
    least = limits.get("min_requests") or 1
    if found.requests < least:
        return f"at least {least} must be made"
    if found.thresholds:
        more = len(found.thresholds) - 1
        return f"{found.tool}'s threshold {found.thresholds[0]} failed" + (
            f" and {more} more" if more else ""
        )
    most = limits.get("max_error_rate")
    if most is not None and error_rate > Fraction(repr(most)):
        return f"at most {most:g} % may fail"
    for name in ("p50", "p95", "p99"):
        limit, value = limits.get(f"max_{name}"), getattr(found, name)
        if limit is not None and value is None:
            return f"the report does not say the {name}, which may be at most {limit:g} ms"
        if limit is not None and value > limit:
            return f"{name} may be at most {limit:g} ms"
    limit = limits.get("min_rate")
    if limit is not None and found.rate is None:
        return f"the report does not say the rate, which must be at least {limit:g}/s"
    if limit is not None and found.rate is not None and found.rate < limit:
        return f"the rate must be at least {limit:g}/s"
    return ""
