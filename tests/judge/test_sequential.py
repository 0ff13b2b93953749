"""The sequential judge by its documents: when it stops, what it says, and that metrics share one level."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.document import BadDocument
from relman_plugins.judge.report import Report
from relman_plugins.judge.sequential import family
from tests.judge.documents import judged as judged_by


def judged(*metrics: dict[str, Any], **more: Any) -> Report:
    report = judged_by(*metrics, method="sequential", **more)
    json.dumps(report.data(), allow_nan=False)
    return report


def looks(bad: int, total: int, count: int = 20) -> list[list[int]]:
    return [[bad, total]] * count


BAD = {"kind": "proportion", "control": looks(1, 200), "experiment": looks(30, 200)}
SAME = {"kind": "proportion", "control": looks(4, 200), "experiment": looks(4, 200)}


def test_harm_stops_at_the_first_look_at_which_it_is_certain() -> None:
    report = judged(BAD)
    assert (report.verdict, report.score, report.more) == (Verdict.FAIL, 0, {"looks": 1})
    found = report.metrics[0]
    assert found.classification == "High"
    assert found.interval is not None
    assert found.interval[0] is not None
    assert found.interval[0] > 2
    assert found.more["evidence"]["harm"] > 50
    assert judged({**BAD, "experiment": looks(5, 200)}).more["looks"] > 1


def test_what_is_decided_does_not_change_with_later_looks() -> None:
    short = judged({**BAD, "experiment": looks(4, 200)})
    until = short.more["looks"]
    assert 1 < until < 20
    better = {**BAD, "experiment": looks(4, 200, until) + looks(0, 200, 20)}
    assert judged(better).metrics == short.metrics


def test_no_harm_beyond_the_tolerance_stops_early_too() -> None:
    report = judged({**SAME, "control": looks(40, 2000), "experiment": looks(40, 2000)})
    assert report.verdict is Verdict.PASS
    assert report.more["looks"] < 20
    assert "no harm beyond 0.25" in report.reason
    assert judged(SAME, tolerance=1.0).more["looks"] < judged(SAME, tolerance=0.25).more["looks"]


@pytest.mark.parametrize(
    ("metric", "more", "verdict"),
    [
        ({}, {}, "pass"),
        ({}, {"undecided": "inconclusive"}, "inconclusive"),
        ({}, {"horizon": 21}, "inconclusive"),
        ({}, {"horizon": 20}, "pass"),
        ({"min_samples": 4000}, {}, "pass"),
        ({"min_samples": 4001}, {}, "inconclusive"),
        ({"control": looks(0, 2), "experiment": looks(0, 2)}, {}, "inconclusive"),
        ({"control": looks(0, 2, 25), "experiment": looks(0, 2, 25)}, {}, "pass"),
        ({"control": []}, {}, "no_data"),
        ({"experiment": ["NaN"] * 20}, {}, "no_data"),
        ({"experiment": looks(0, 0)}, {}, "no_data"),
        ({"experiment": looks(0, 0), "must_have_data": True}, {}, "fail"),
    ],
)
def test_what_stays_undecided(metric: dict[str, Any], more: dict[str, Any], verdict: str) -> None:
    report = judged(SAME | metric, **more)
    assert report.verdict.value == verdict
    if verdict == "inconclusive":
        assert report.more["looks"] == 20


@pytest.mark.parametrize(
    ("metric", "classification"),
    [
        ({}, "High"),
        ({"direction": "increase"}, "High"),
        ({"direction": "decrease"}, "Pass"),
        ({"control": BAD["experiment"], "experiment": BAD["control"]}, "Pass"),
        ({"control": BAD["experiment"], "experiment": BAD["control"], "direction": "either"}, "Low"),
        ({"effect_size": {"allowed_increase": 100}}, "Pass"),
        ({"effect_size": {"allowed_increase": 2}}, "High"),
    ],
)
def test_which_change_is_harmful(metric: dict[str, Any], classification: str) -> None:
    assert judged(BAD | metric).metrics[0].classification == classification


def test_a_limit_is_harm_whatever_the_control_does() -> None:
    both = {"kind": "proportion", "control": looks(20, 200), "experiment": looks(20, 200)}
    assert judged(both).verdict is Verdict.PASS
    assert judged(both | {"max": 0.03}).verdict is Verdict.FAIL
    assert judged(both | {"max": 0.1}).verdict is Verdict.PASS


def test_an_arm_without_answers_is_no_evidence() -> None:
    gaps = {**BAD, "control": ["NaN"] * 10 + looks(1, 200)}
    report = judged(gaps)
    assert report.more["looks"] == 11


def test_many_metrics_share_one_level() -> None:
    alone = judged({**BAD, "experiment": looks(4, 200)}).more["looks"]
    crowd = [SAME] * 30
    assert judged({**BAD, "experiment": looks(4, 200)}, *crowd).more["looks"] > alone
    advisory = judged(BAD | {"muted": True}, SAME)
    assert (advisory.verdict, advisory.metrics[0].classification) == (Verdict.PASS, "High")


def test_harm_is_certain_from_the_confidence_on_and_not_before() -> None:
    slow = {**BAD, "experiment": looks(4, 200)}
    for confidence in (0.9, 0.98, 0.995):
        until = judged(slow, confidence=confidence).more["looks"]
        end, before = (
            judged(
                {**slow, "experiment": looks(4, 200, n), "control": looks(1, 200, n)}, confidence=confidence
            )
            for n in (until, until - 1)
        )
        said = [report.metrics[0].more["evidence"]["harm"] for report in (before, end)]
        assert said[0] < 1 / (1 - confidence) <= said[1]
        assert (before.verdict, end.verdict) == (Verdict.PASS, Verdict.FAIL)


def test_evidence_that_is_enough_for_one_metric_alone_is_not_for_one_of_several() -> None:
    logs = [math.log(60), math.log(0.01), math.log(0.01)]
    assert family(logs)[0] == pytest.approx(math.log(60.02 / 3))
    assert family(logs, math.log(50))[1:] == logs[1:]
    assert family([math.log(60), math.log(80)])[0] == pytest.approx(math.log(60))


def test_it_ends_early_without_harm_only_when_every_metric_says_so() -> None:
    calm = {**SAME, "control": looks(40, 2000), "experiment": looks(40, 2000)}
    slower = {**SAME, "control": looks(30, 2000), "experiment": looks(30, 2000)}
    first, last = (judged(one).more["looks"] for one in (calm, slower))
    assert first < last < 20
    assert judged(calm, slower).more["looks"] == judged(slower, calm).more["looks"] == last
    assert judged(calm, SAME).more["looks"] == 20


def test_it_does_not_end_early_while_a_metric_has_no_numbers() -> None:
    calm = {**SAME, "control": looks(40, 2000), "experiment": looks(40, 2000)}
    assert judged(calm, {**SAME, "control": []}).more["looks"] == 20


def test_an_advisory_metric_neither_ends_it_nor_keeps_it_from_its_end() -> None:
    calm = {**SAME, "control": looks(40, 2000), "experiment": looks(40, 2000)}
    assert judged(SAME, BAD | {"muted": True}).more["looks"] == 20
    assert judged(calm, SAME | {"muted": True}).more["looks"] == judged(calm).more["looks"]


def test_counts_are_compared_by_their_exposure() -> None:
    same = {"kind": "count", "control": [[2, 1.0]] * 30, "experiment": [[20, 10.0]] * 30}
    assert judged(same).verdict is Verdict.PASS
    assert judged({"kind": "count", "control": [2] * 30, "experiment": [20] * 30}).verdict is Verdict.FAIL


def test_values_come_one_or_many_a_look_or_as_histograms() -> None:
    random = np.random.default_rng(3)
    values = random.lognormal(4.6, 0.5, (60, 20))
    many = {"control": values.tolist(), "experiment": (2 * random.permutation(values)).tolist()}
    assert judged(many).metrics[0].classification == "High"
    one = {"control": values[:, 0].tolist(), "experiment": (3 * values[:, 1]).tolist()}
    assert judged(one).metrics[0].classification == "High"
    bounds = [50, 80, 100, 150, 200, 400]
    histogram = {
        arm: [np.histogram(look, [0, *bounds, 1e9])[0].tolist() for look in many[arm]]
        for arm in ("control", "experiment")
    }
    assert judged({"buckets": bounds, **histogram}).metrics[0].classification == "High"
    quiet = {"buckets": bounds, "control": histogram["control"], "experiment": histogram["control"][::-1]}
    assert judged(quiet).verdict is Verdict.PASS
    faster = {"control": many["experiment"], "experiment": many["control"]}
    assert judged(faster | {"direction": "increase"}).verdict is Verdict.PASS
    assert judged(faster).metrics[0].classification == "Low"
    unpaired = {"control": values.ravel().tolist(), "experiment": (2 * values[:9]).ravel().tolist()}
    assert judged(unpaired).metrics[0].classification == "High"


@pytest.mark.parametrize(
    ("metric", "path"),
    [
        ({"control": [[1, 2], 3]}, r"\$\.metrics\[0\]\.control\[1\]: expected a list"),
        ({"buckets": [1, 2], "control": [[1, 2]]}, r"control\[0\]: 2 counts; 3 expected"),
        ({"buckets": [1, 2], "control": [[1, 2, 0.5]]}, "expected whole numbers"),
        ({"buckets": [1, 2], "control": [[1, 2, -1]]}, r"control\[0\]\[2\]: -1 is negative"),
        ({"buckets": [2, 1]}, r"buckets: the bounds must rise"),
        ({"kind": "count", "control": [[3, 0]]}, r"control\[0\]\[1\]: expected what the count"),
        ({"kind": "count", "buckets": [1]}, "only metrics of the kind values"),
        ({"kind": "count", "max": 1}, "only a proportion"),
        ({"effect_size": {"measure": "cles"}}, "mean_ratio only"),
    ],
)
def test_what_is_refused(metric: dict[str, Any], path: str) -> None:
    with pytest.raises(BadDocument, match=path):
        judged(metric)


def test_what_another_method_would_pass_over_is_refused() -> None:
    with pytest.raises(BadDocument, match=r"\$\.metrics\[0\]\.max: only sequential and threshold"):
        judged_by(BAD | {"max": 0.1})
