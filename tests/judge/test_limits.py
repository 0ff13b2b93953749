"""Thresholds and budgets from a document, at their boundaries."""

from __future__ import annotations

from typing import Any

import pytest

from relman_plugins.judge.document import BadDocument
from relman_plugins.judge.report import Report
from tests.judge.documents import judged

ERROR = {"error": "timed out"}


def limited(*metrics: dict[str, Any], **more: Any) -> Report:
    return judged(*metrics, method="threshold", **more)


@pytest.mark.parametrize(
    ("metric", "verdict", "classification"),
    [
        ({"experiment": [1, 2, 3], "max": 3}, "pass", "Pass"),
        ({"experiment": [1, 2, 3.001], "max": 3}, "fail", "High"),
        ({"experiment": [3, 1], "min": 1}, "pass", "Pass"),
        ({"experiment": [3, 0.999], "min": 1}, "fail", "Low"),
        ({"experiment": [9, 9, 1], "max": 3, "tolerated_failures": 2}, "pass", "Pass"),
        ({"experiment": [9, 9, 9, 1], "max": 3, "tolerated_failures": 2}, "fail", "High"),
        ({"experiment": [1, 9, 9], "max": 3, "tolerated_failures": 2}, "inconclusive", "High"),
        ({"experiment": [9, 9, 1], "max": 3, "warm_up": 2}, "pass", "Pass"),
        ({"experiment": [9, 9, 1], "max": 3, "warm_up": 1}, "fail", "High"),
        ({"experiment": [9, 9], "max": 3, "warm_up": 2}, "no_data", "Nodata"),
        ({"experiment": [9, 9], "max": 3, "warm_up": 2, "must_have_data": True}, "fail", "Nodata"),
        ({"experiment": [1, ERROR, ERROR, ERROR, ERROR, 1], "max": 3}, "pass", "Pass"),
        ({"experiment": [1, ERROR, ERROR, ERROR, ERROR, ERROR, 1], "max": 3}, "error", "Error"),
        ({"experiment": ["NaN", "NaN"], "max": 3}, "no_data", "Nodata"),
        ({"experiment": ["NaN", 1], "max": 3}, "pass", "Pass"),
        ({"experiment": [1, "NaN"], "max": 3}, "inconclusive", "Nodata"),
        ({"experiment": [], "max": 3}, "no_data", "Nodata"),
        ({"kind": "proportion", "experiment": [[1, 20]], "max": 0.05}, "pass", "Pass"),
        ({"kind": "proportion", "experiment": [[2, 20]], "max": 0.05}, "fail", "High"),
        ({"kind": "proportion", "experiment": [[2, 20]], "max": 0.05, "min_samples": 20}, "fail", "High"),
        (
            {"kind": "proportion", "experiment": [[2, 20]], "max": 0.05, "min_samples": 21},
            "no_data",
            "Nodata",
        ),
        ({"kind": "proportion", "experiment": [[0, 0]], "max": 0.05}, "no_data", "Nodata"),
        ({"kind": "count", "experiment": [3, 4], "max": 4}, "pass", "Pass"),
    ],
)
def test_limits(metric: dict[str, Any], verdict: str, classification: str) -> None:
    report = limited(metric)
    assert (report.verdict.value, report.metrics[0].classification) == (verdict, classification), (
        report.reason
    )


def test_errors_in_a_row_can_be_tolerated_otherwise() -> None:
    metric = {"experiment": [1, ERROR, ERROR, 1], "max": 3}
    assert limited(metric, tolerated_errors=2).verdict.value == "pass"
    assert limited(metric, tolerated_errors=1).verdict.value == "error"


def test_several_metrics_are_as_bad_as_the_worst_but_for_advisory_ones() -> None:
    good, bad = {"experiment": [1], "max": 3}, {"experiment": [9], "max": 3}
    assert limited(good, bad).verdict.value == "fail"
    assert limited(good, bad | {"muted": True}).verdict.value == "pass"
    assert limited(good, {"classification": "Error"}).verdict.value == "error"
    assert limited(good, good, {"experiment": [], "max": 3}).verdict.value == "pass"
    assert limited(good, good, {"experiment": [], "max": 3, "critical": True}).verdict.value == "no_data"
    assert limited(good, horizon=2).verdict.value == "inconclusive"


def test_half_of_the_metrics_without_data_is_no_pass() -> None:
    good, none = {"experiment": [1], "max": 3}, {"experiment": ["NaN"], "max": 3}
    assert limited(good, none).verdict.value == "no_data"
    assert limited(good, none, thresholds={"nodata": 50.1}).verdict.value == "pass"


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ({"experiment": [1]}, "neither max nor min"),
        ({"experiment": [1], "max": 1, "min": 2}, r"min: above max"),
        ({"experiment": [1], "max": 1, "min_samples": 2}, "only a proportion has samples"),
        ({"experiment": [{"eror": "x"}], "max": 1}, r"experiment\[0\]: expected a look"),
        ({"experiment": [None], "max": 1}, r"experiment\[0\]: expected a number"),
        ({"experiment": [1], "max": 1, "tolerated_failures": -1}, "tolerated_failures: expected greater"),
        ({"experiment": [1], "max": 1, "objective": 0.9}, "objective: only slo"),
    ],
)
def test_what_is_no_threshold(metric: dict[str, Any], message: str) -> None:
    with pytest.raises(BadDocument, match=message):
        limited(metric)


def budget(experiment: list[Any], **more: Any) -> Report:
    metric = {"kind": "proportion", "objective": 0.99, "experiment": experiment}
    document = {key: more.pop(key) for key in ("windows", "interval", "period") if key in more}
    return judged(metric | more, method="slo", **document)


PAIR = {"long": "10m", "short": "2m", "burn_rate": 10}


@pytest.mark.parametrize(
    ("experiment", "verdict"),
    [
        ([[10, 100]] * 10, "pass"),  # a burn rate of 10 is the limit itself
        ([[11, 100]] * 10, "fail"),
        ([[50, 100]], "no_data"),  # the short window is not full
        ([[50, 100]] * 2, "fail"),
        ([[0, 100]] * 8 + [[50, 100]] * 2, "pass"),  # 10 over the long window, 50 over the short one
        ([[0, 100]] * 7 + [[50, 100]] * 3, "fail"),
        ([[0, 100]] * 10 + [[60, 100], [0, 100]], "pass"),
        ([[0, 0]] * 10, "no_data"),
        ([], "no_data"),
        (["NaN", [0, 100], [0, 100]], "pass"),
    ],
)
def test_both_windows_must_burn(experiment: list[Any], verdict: str) -> None:
    assert budget(experiment, windows=[PAIR]).verdict.value == verdict


def test_the_workbooks_table_is_the_default_and_a_ticket_asks_people() -> None:
    report = budget([[15, 100]] * 60)
    assert report.verdict.value == "fail"
    assert "page at look 5: burns 15 times as fast as allowed over 1h and 15 over 5m; 14.4" in report.reason
    assert budget([[14, 100]] * 29).verdict.value == "pass"
    assert "6h" in budget([[14, 100]] * 30).reason
    slow = budget([[2, 100]] * 360)
    assert (slow.verdict.value, slow.metrics[0].classification) == ("inconclusive", "High")
    assert slow.metrics[0].effect == pytest.approx(2)
    assert slow.metrics[0].more["budget_spent"] == pytest.approx(2 * 6 / 24 / 30)


def test_few_requests_can_be_passed_over() -> None:
    assert budget([[1, 2]] * 5).verdict.value == "fail"
    assert budget([[1, 2]] * 5, min_samples=11).verdict.value == "pass"
    assert budget([[1, 2]] * 5, min_samples=10).verdict.value == "fail"


def test_what_is_no_objective() -> None:
    for more, message in (
        ({"objective": 1.0}, "objective: expected less than 1"),
        ({"objective": None}, "an objective is missing"),
        ({"kind": "values"}, "slo judges proportions"),
        ({"interval": "1 minute"}, "interval: "),
        ({"windows": []}, "windows: "),
        ({"windows": [PAIR | {"burn": 1}]}, r'windows\[0\]\.burn: unknown key; did you mean "burn_rate"'),
    ):
        with pytest.raises(BadDocument, match=message):
            budget([[1, 2]], **more)
