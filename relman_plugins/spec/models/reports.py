"""Reports beside a suite's tests: coverage, findings of scanners, load tests, and what they must say."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from relman_plugins.spec.models.base import Flag, PathInside, SpecModel, Whole

PERCENT_PATTERN = r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%$"
LATENCY_PATTERN = r"^[0-9]{1,7}(\.[0-9]{1,3})?(ms|s)$"
_PERCENT = re.compile(PERCENT_PATTERN, re.ASCII)
_LATENCY = re.compile(LATENCY_PATTERN, re.ASCII)


def _percent(value: Any) -> str:
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        return value
    raise PydanticCustomError("percent", "is not a percentage")


def _latency(value: Any) -> str:
    if isinstance(value, str) and _LATENCY.fullmatch(value) and milliseconds(value) > 0:
        return value
    raise PydanticCustomError("latency", "is not a response time")


Percent = Annotated[
    str,
    PlainValidator(_percent),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "examples": ["80%", "99.5%"]}),
]
"""``0%`` to ``100%``, with at most two decimals."""

Latency = Annotated[
    str,
    PlainValidator(_latency),
    WithJsonSchema({"type": "string", "pattern": LATENCY_PATTERN, "examples": ["300ms", "1.5s"]}),
]
"""A response time: ``300ms``, ``1.5s``."""

Rate = Annotated[float, Field(gt=0, le=10_000_000, strict=True)]


def points(percent: str | None) -> float | None:
    """Return a percentage as a number from 0 to 100."""
    return None if percent is None else float(percent[:-1])


def milliseconds(latency: str) -> float:
    """Return a response time in milliseconds."""
    if latency.endswith("ms"):
        return float(latency[:-2])
    return float(latency[:-1]) * 1000


class CoverageLimits(SpecModel):
    """How much of the code a suite must run."""

    min_line: Percent | None = None
    """How much of the lines must have run, at least."""
    min_branch: Percent | None = None
    """How much of the branches must have been taken, at least."""
    max_drop: Percent | None = None
    """By how many percentage points line coverage may drop since the last release that succeeded."""


class Coverage(CoverageLimits):
    """A coverage report: `cobertura` or `lcov`, and what it must say."""

    cobertura: PathInside | None = None
    """Where the command writes Cobertura XML, relative to the artifact."""
    lcov: PathInside | None = None
    """Where the command writes an LCOV tracefile, relative to the artifact."""


class SeverityLimits(SpecModel):
    """How many findings of each severity are acceptable."""

    critical: Whole = 0
    """A `security-severity` of 9.0 or more."""
    high: Whole = 0
    """A `security-severity` of 7.0 or more; without one, the level `error`."""
    medium: Whole | None = None
    """A `security-severity` of 4.0 or more; without one, the level `warning`. No limit unless given."""
    low: Whole | None = None
    """Everything below. No limit unless given."""


class FindingsLimits(SpecModel):
    """What a scanner may find."""

    max: SeverityLimits = SeverityLimits()
    """How many findings of each severity are acceptable."""
    new_only: Flag = True
    """Hold only those against `max` that the last release that succeeded did not have."""


class Findings(FindingsLimits):
    """A scanner's report, and what it may say. Suppressed findings are counted, and held against nothing."""

    sarif: PathInside | None = None
    """Where the command writes a SARIF 2.1.0 log, relative to the artifact."""


class LoadLimits(SpecModel):
    """What a load test must measure."""

    max_error_rate: Percent = "0%"
    """How many of the requests may fail."""
    max_p50: Latency | None = None
    """How long half of the requests may take, at most."""
    max_p95: Latency | None = None
    """How long 95 % of the requests may take, at most."""
    max_p99: Latency | None = None
    """How long 99 % of the requests may take, at most."""
    min_rate: Rate | None = None
    """Requests a second, at least."""
    min_requests: Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)] = 1
    """With fewer requests than this the suite fails."""


class Load(LoadLimits):
    """A load test's report: `k6` or `locust`, and what it must say."""

    k6: PathInside | None = None
    """Where the command writes k6's summary, relative to the artifact."""
    locust: PathInside | None = None
    """Where the command writes Locust's `…_stats.csv` or JSON, relative to the artifact."""


FORMATS: dict[str, tuple[str, ...]] = {
    "coverage": ("cobertura", "lcov"),
    "findings": ("sarif",),
    "load": ("k6", "locust"),
}
"""Kind of report → the formats of which it names exactly one."""
