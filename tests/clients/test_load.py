"""Load tests: what k6 and Locust write, held against limits and against the tool's own thresholds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relman_plugins.clients.reports import k6, locust
from relman_plugins.clients.reports.load import Load, judge
from relman_plugins.errors import ClientRejected

WRITTEN = Path(__file__).parent / "written"


def test_what_locust_writes() -> None:
    table, whole = locust.read(WRITTEN / "locust_stats.csv"), locust.read(WRITTEN / "locust.json")
    assert (table.requests, table.errors, table.p50, table.p95, table.p99) == (176, 11, 45, 52, 75)
    assert table.rate == pytest.approx(58.68, abs=0.01)
    # Of the same run: Locust wrote the table last half a second before the end.
    assert (whole.requests, whole.errors, whole.p50, whole.p95, whole.p99) == (203, 13, 45, 53, 75)
    assert whole.rate == pytest.approx(59.03, abs=0.01)


def test_a_request_of_locusts_that_is_called_as_the_total_is_not_taken_for_it() -> None:
    header, *rows = (WRITTEN / "locust_stats.csv").read_bytes().splitlines(keepends=True)
    named = rows[0].replace(b"GET,/cart,132", b"GET,Aggregated,5")
    assert locust.read(b"".join([header, named, *rows])).requests == 176


def exported(failed: bool) -> dict[str, Any]:
    """What ``--summary-export`` writes."""
    times = {"avg": 20.1, "min": 1.2, "med": 18.5, "max": 99.0, "p(90)": 40.0, "p(95)": 61.5}
    return {
        "metrics": {
            "http_reqs": {"count": 1200, "rate": 40.0},
            "http_req_failed": {"passes": 6, "fails": 1194, "value": 0.005},
            "http_req_duration": times | {"thresholds": {"p(95)<50": failed}},
        }
    }


def handled(ok: bool) -> dict[str, Any]:
    """What ``handleSummary`` gets."""
    metrics = {}
    for name, values in exported(False)["metrics"].items():
        values.pop("thresholds", None)
        metrics[name] = {"type": "any", "contains": "default", "values": values}
    metrics["http_req_duration"]["thresholds"] = {"p(95)<50": {"ok": ok}}
    return {"metrics": metrics, "state": {"testRunDurationMs": 30000.0}}


MACHINE = {
    "config": {"duration": 30.0, "execution": "local", "script": "load.js"},
    "results": {
        "metrics": [
            {"name": "http_reqs", "type": "counter", "values": {"count": 1200}},
            {"name": "http_req_failed", "type": "rate", "values": {"matches": 6, "total": 1200}},
            {"name": "http_req_duration", "type": "trend", "values": {"med": 18.5, "p(95)": 61.5}},
        ]
    },
    "version": "1.0.0",
}


@pytest.mark.parametrize("summary", [exported(False), handled(True), MACHINE])
def test_the_three_forms_of_k6_say_the_same(summary: dict[str, Any]) -> None:
    assert k6.read(json.dumps(summary).encode()) == Load(
        tool="k6", requests=1200, errors=6, rate=40.0, p50=18.5, p95=61.5
    )


@pytest.mark.parametrize("summary", [exported(True), handled(False)])
def test_a_threshold_of_the_script_that_failed_is_red_whatever_the_limits(summary: dict[str, Any]) -> None:
    reading = judge(k6.read(json.dumps(summary).encode()), {})
    assert not reading.passed
    assert reading.reason.endswith("k6's threshold http_req_duration: p(95)<50 failed")


def test_limits_are_inclusive() -> None:
    found = Load(tool="k6", requests=1000, errors=1, rate=40.0, p50=10.0, p95=50.0)
    assert judge(found, {"max_error_rate": 0.1, "max_p95": 50.0, "min_rate": 40, "min_requests": 1000}).passed
    missed = {
        "at most 0.09 % may fail": {"max_error_rate": 0.09},
        "p95 may be at most 49.9 ms": {"max_p95": 49.9},
        "the rate must be at least 40.1/s": {"min_rate": 40.1},
        "at least 1001 must be made": {"min_requests": 1001},
        "the report does not say the p99, which may be at most 100 ms": {"max_p99": 100.0},
    }
    for said, limits in missed.items():
        reading = judge(found, limits)
        assert not reading.passed
        assert reading.reason == f"1000 requests, 0.1 % failed, 40.0/s, p50 10.0 ms, p95 50.0 ms; {said}"


def test_a_test_without_requests_is_not_green() -> None:
    assert not judge(Load(tool="locust", requests=0, errors=0), {}).passed
    assert not judge(locust.read(b"[]"), {}).passed


def k6_of(**metrics: Any) -> bytes:
    return json.dumps({"metrics": exported(False)["metrics"] | metrics}).encode()


HEADER = (WRITTEN / "locust_stats.csv").read_text().splitlines()[0]
REFUSED = {
    "no metrics": (k6, b"{}", "has no metrics"),
    "no requests": (k6, k6_of(http_reqs={}), "made no HTTP request"),
    "no failures": (k6, k6_of(http_req_failed={}), "nothing says how many requests failed"),
    "negative": (k6, k6_of(http_reqs={"count": -1}), "count is -1"),
    "endless": (k6, k6_of(http_reqs={"count": float("inf")}), "count is inf"),
    "nan": (k6, k6_of(http_req_duration={"p(95)": float("nan")}), r"p\(95\) is nan"),
    "long": (k6, k6_of(http_reqs={"count": 10**400}), "count is 1000"),
    "words": (k6, k6_of(http_reqs={"count": "many"}), "count is not a number"),
    "truth": (k6, k6_of(http_reqs={"count": True}), "count is not a number"),
    "a threshold in words": (k6, k6_of(x={"thresholds": {"a": "failed"}}), "not a whole k6 summary"),
    "stopped": (k6, json.dumps(exported(False)).encode()[:-40], "not a whole k6 summary"),
    "no columns": (locust, b"Name,Request Count\r\n", "no column 'Failure Count'"),
    "no total": (locust, f"{HEADER}\r\n".encode(), "no whole row 'Aggregated'"),
    "half a total": (locust, (WRITTEN / "locust_stats.csv").read_bytes()[:-4], "no whole row 'Aggregated'"),
    "nan in a table": (
        locust, (WRITTEN / "locust_stats.csv").read_bytes().replace(b"Aggregated,176", b"Aggregated,nan"),
        "Request Count is nan",
    ),
    "failures unsaid": (
        locust, (WRITTEN / "locust_stats.csv").read_bytes().replace(b"gated,176,11,", b"gated,176,N/A,"),
        "does not say how many requests",
    ),
    "negative requests": (
        locust, (WRITTEN / "locust.json").read_bytes().replace(b'"num_requests": 152', b'"num_requests": -1'),
        "not a whole Locust report",
    ),
    "half a list": (locust, (WRITTEN / "locust.json").read_bytes()[:-3], "not a whole Locust report"),
    "another table": (locust, b"a" * 200_000, "field larger than"),
}  # fmt: skip


@pytest.mark.parametrize(("reader", "content", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_says_why(reader: object, content: bytes, said: str) -> None:
    with pytest.raises(ClientRejected, match=said):
        reader.read(content)  # type: ignore[attr-defined]
