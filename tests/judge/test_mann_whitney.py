"""Kayenta's semantics on Kayenta's own cases, at the boundaries, and where relman differs on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.reading import read
from relman_plugins.judge.run import judge
from tests.judge.documents import finding, judged

_CASES = json.loads((Path(__file__).parent / "golden" / "kayenta.json").read_text())["cases"]
LOW = [9.7, 10.6, 7.8, 9.3, 8.4, 8.9, 8.3, 9.8, 11.6, 9.2]
HIGH = [value + 10 for value in LOW]


@pytest.mark.parametrize("case", _CASES, ids=[case["case"] for case in _CASES])
def test_kayentas_cases_have_kayentas_classification(case: dict[str, Any]) -> None:
    found = judge(read(json.dumps(case["document"]))).metrics[0]
    assert {key: getattr(found, key) for key in case["expected"]} == case["expected"], found.reason


@pytest.mark.parametrize(
    ("metric", "classification"),
    [
        ({}, "High"),
        ({"direction": "increase"}, "High"),
        ({"direction": "decrease"}, "Pass"),
        ({"control": HIGH, "experiment": LOW}, "Low"),
        ({"control": HIGH, "experiment": LOW, "direction": "increase"}, "Pass"),
        ({"experiment": LOW[::-1]}, "Pass"),
        ({"experiment": []}, "Nodata"),
        ({"experiment": ["NaN"] * 9}, "Nodata"),
        ({"experiment": ["NaN"] * 9, "nan_strategy": "replace"}, "Low"),
        ({"experiment": [], "nan_strategy": "replace"}, "Pass"),
        ({"experiment": ["NaN"] * 9, "nan_strategy": "replace", "direction": "increase"}, "Pass"),
        ({"experiment": ["NaN"] * 9, "nan_strategy": "replace", "must_have_data": True}, "Nodata"),
        ({"control": [], "nan_strategy": "replace", "must_have_data": True}, "Nodata"),
        ({"control": ["NaN", 0.0] * 9, "nan_strategy": "replace", "must_have_data": True}, "High"),
        ({"control": [5] * 8, "experiment": [5] * 9}, "Pass"),
        ({"control": [0] * 8, "experiment": [5] * 9}, "High"),
        ({"control": LOW[:4], "experiment": HIGH[:4]}, "Nodata"),
        ({"control": [1], "experiment": [2]}, "Nodata"),
        ({"control": [1], "experiment": [1]}, "Pass"),
    ],
)
def test_one_metric(metric: dict[str, Any], classification: str) -> None:
    assert finding({"control": LOW, "experiment": HIGH} | metric).classification == classification


def test_the_tolerance_is_a_share_of_the_shift_and_excludes_its_edge() -> None:
    """Of two constants the interval is the shift itself, so a tolerance of 1 is the edge."""
    flat = {"control": [1] * 9, "experiment": [2] * 9}
    assert finding(flat, tolerance=1).classification == "Pass"
    assert finding(flat, tolerance=0.999).classification == "High"


@pytest.mark.parametrize(
    ("size", "classification"),
    [
        ({"allowed_increase": 2.0}, "High"),
        ({"allowed_increase": 2.001}, "Pass"),
        ({"measure": "cles", "allowed_increase": 1.0}, "High"),
        ({"measure": "cles"}, "High"),
    ],
)
def test_the_allowed_effect_itself_counts(size: dict[str, Any], classification: str) -> None:
    flat = {"control": [1] * 9, "experiment": [2] * 9, "effect_size": size}
    assert finding(flat).classification == classification


def test_a_critical_metric_forces_the_score_to_0_only_from_the_critical_effect_on() -> None:
    metric = {"control": [1] * 9, "experiment": [2] * 9, "critical": True}
    others: list[dict[str, Any]] = [{"classification": "Pass"}] * 3
    for critical, score, verdict in ((2.0, 0, Verdict.FAIL), (2.1, 75, Verdict.INCONCLUSIVE)):
        report = judged(metric | {"effect_size": {"critical_increase": critical}}, *others)
        assert (report.score, report.verdict) == (score, verdict)


def test_an_effect_that_cannot_be_computed_leaves_the_interval_to_decide() -> None:
    metric = {"control": [0] * 9, "experiment": [2] * 9, "effect_size": {"allowed_increase": 100}}
    found = finding(metric)
    assert (found.classification, found.effect) == ("High", None)


def test_outliers_go_only_when_asked() -> None:
    control = [10.0, 10.1, 10.2, 9.9, 9.8] * 10
    metric = {"control": control, "experiment": [*control, *[1000.0] * 3]}
    assert finding(metric).effect == pytest.approx(6.61, abs=0.1)
    spiked = metric | {"outliers": {"strategy": "remove", "reduce_sensitivity": False}}
    assert finding(spiked).effect == pytest.approx(1.0)
    assert finding(metric | {"outliers": {"strategy": "remove"}}).effect != pytest.approx(1.0)  # below P99


@given(st.lists(st.integers(0, 30), min_size=6, max_size=40), st.integers(1, 5))
def test_raising_the_new_version_never_makes_it_better(control: list[int], more: int) -> None:
    order = ["Low", "Pass", "High"]
    seen = [
        order.index(finding({"control": control, "experiment": [v + add for v in control]}).classification)
        for add in (0, more, 2 * more, 50)
    ]
    assert seen == sorted(seen)
    assert seen[0] == 1


@given(
    st.lists(st.integers(0, 30), min_size=5, max_size=40),
    st.lists(st.integers(0, 30), min_size=5, max_size=40),
)
def test_the_arms_are_treated_alike(a: list[int], b: list[int]) -> None:
    size = {"measure": "cles"}
    there = finding({"control": a, "experiment": b, "effect_size": size}).classification
    back = finding({"control": b, "experiment": a, "effect_size": size}).classification
    assert back == {"High": "Low", "Low": "High"}.get(there, there)


@pytest.mark.parametrize(
    ("before", "after", "direction", "classification"),
    [
        (-1, 5, "increase", "High"),
        (-10, -2, "increase", "High"),
        (-2, -10, "decrease", "Low"),
        (5, -1, "decrease", "Low"),
        (-2, -10, "increase", "Pass"),
        (-10, -2, "decrease", "Pass"),
    ],
)
def test_of_means_that_are_not_above_0_the_interval_decides(
    before: int, after: int, direction: str, classification: str
) -> None:
    metric = {"control": [before] * 9, "experiment": [after] * 9, "direction": direction}
    found = finding(metric | {"effect_size": {"allowed_increase": 1.5, "allowed_decrease": 0.5}})
    assert (found.classification, found.effect) == (classification, None)
    assert finding(metric).classification == classification
