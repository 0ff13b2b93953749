"""From classifications to a score and a verdict: Kayenta's figures, and its faults put right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.judge.document import BadDocument
from tests.judge.documents import judged

P, H, L, N, E = "Pass", "High", "Low", "Nodata", "Error"


def report(*labels: Any, weights: dict[str, float] | None = None, **thresholds: float) -> Any:
    """Each label is a word, or (word, group), or (word, group, more)."""
    metrics = []
    for label in labels:
        word, group, more = (
            (*((label,) if isinstance(label, str) else label), "g", {})[:3]
            if isinstance(label, str)
            else (*label, {})[:3]
        )
        metrics.append({"classification": word, "groups": [group], **more})
    return judged(*metrics, group_weights=weights or {}, thresholds=thresholds)


CRITICAL = {"critical": True}


@pytest.mark.parametrize(
    ("labels", "weights", "score", "verdict"),
    [
        # Figures of spinnaker/kayenta a69573be, ScorerSuite.scala.
        ([P], None, 100, "pass"),
        ([H], None, 0, "fail"),
        ([(P, "a"), (P, "a"), (N, "b")], None, 100, "pass"),
        ([P, H], None, 50, "fail"),
        ([P, H, L], None, 33.33, "fail"),
        ([(P, "a"), (P, "a"), (H, "b")], {"a": 75, "b": 25}, 75, "inconclusive"),
        ([(P, "a"), (H, "a"), (H, "b")], {"a": 50, "b": 50}, 25, "fail"),
        ([(P, "a"), (N, "a"), (H, "b")], {"a": 50, "b": 50}, 50, "fail"),
        ([P, (H, "g", CRITICAL)], None, 0, "fail"),
        ([L, (P, "g", CRITICAL)], None, 50, "fail"),
        ([(H, "a"), (L, "a"), (P, "a"), (H, "b")], {"a": 15, "b": 85}, 5, "fail"),
        # There the score is 0 as well; here what is missing is not a failure but asks people.
        ([N], None, 0, "no_data"),
        ([P, N], None, 0, "no_data"),
        ([P, (N, "g", CRITICAL)], None, 0, "no_data"),
        ([P, P, (N, "g", {"must_have_data": True})], None, 66.67, "fail"),
        ([P, (E, "g", CRITICAL)], None, 0, "error"),
        ([P, E], None, 100, "error"),
        ([P, (H, "g", {"muted": True})], None, 100, "pass"),
        ([(H, "g", {"muted": True, "critical": True})], None, 0, "no_data"),
        ([], None, 0, "no_data"),
        # A group without a weight shares what is left; without such a group, weights are brought to 100.
        ([(P, "a"), (H, "b"), (P, "c")], {"a": 80}, 90, "inconclusive"),
        ([(P, "a"), (H, "b")], {"a": 100}, 100, "pass"),
        ([(P, "a"), (P, "b")], {"a": 40, "b": 20}, 100, "pass"),
        ([(P, "a")], {"a": 50, "gone": 50}, 100, "pass"),
    ],
)
def test_scores(labels: list[Any], weights: dict[str, float] | None, score: float, verdict: str) -> None:
    found = report(*labels, weights=weights)
    assert (found.score, found.verdict.value) == (score, verdict), found.reason


@pytest.mark.parametrize(
    ("pass_", "marginal", "verdict"),
    [(75, 75, "pass"), (75.01, 75, "inconclusive"), (95, 75.01, "fail"), (95, 75, "inconclusive")],
)
def test_both_limits_belong_to_the_better_side(pass_: float, marginal: float, verdict: str) -> None:
    found = report(P, P, P, H, **{"pass": pass_, "marginal": marginal})
    assert (found.score, found.verdict.value) == (75, verdict)


@pytest.mark.parametrize(("nodata", "verdict"), [(50, "pass"), (33, "no_data"), (34, "pass"), (100, "pass")])
def test_how_much_may_be_missing_can_be_said(nodata: float, verdict: str) -> None:
    assert report(P, P, N, nodata=nodata).verdict.value == verdict


def test_a_group_that_no_metric_decides_about_costs_no_points() -> None:
    muted = (P, "saturation", {"muted": True})
    found = report((P, "errors"), (P, "latency"), muted, weights={"latency": 40, "saturation": 40})
    assert (found.score, found.verdict.value) == (100, "pass")


def test_weights_above_100_are_refused() -> None:
    with pytest.raises(BadDocument, match=r"\$\.group_weights: the weights add up to 110"):
        report(P, weights={"a": 60, "b": 50})


_ORDER = [N, H, P]


@given(
    st.lists(st.tuples(st.sampled_from([P, H, L, N]), st.sampled_from("abc")), min_size=1, max_size=12),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 33), max_size=3),
    st.data(),
)
def test_a_score_is_from_0_to_100_and_no_metric_that_passes_lowers_it(
    labels: list[tuple[str, str]], weights: dict[str, float], data: st.DataObject
) -> None:
    before = report(*labels, weights=weights)
    assert 0 <= before.score <= 100
    place = data.draw(st.integers(0, len(labels) - 1))
    better = [*labels]
    better[place] = (P, labels[place][1])
    assert report(*better, weights=weights).score >= before.score
