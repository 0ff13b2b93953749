"""The five verdicts, kept apart, at their boundaries."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.base import canonical_json
from relman_plugins.domain.status import Verdict
from relman_plugins.judge.threshold import (
    TOLERATED_ERRORS,
    Judgement,
    Measurement,
    MetricRule,
    State,
    judge,
    look,
    step,
)
from relman_plugins.plan.model import MetricPlan

RULE = MetricRule(name="errors", max=0.05)
GOOD, BAD, LITTLE = 0.01, 0.5, None


def m(value: float | str | None, name: str = "errors", samples: float | None = None) -> Measurement:
    if isinstance(value, str):
        return Measurement(name=name, error=value)
    return Measurement(name=name, value=value, samples=samples)


def judged(*values: float | str | None, rule: MetricRule = RULE, count: int | None = None) -> Judgement:
    return judge([[m(v)] for v in values], rules=[rule], count=count or len(values))


@pytest.mark.parametrize(
    ("rule", "value", "samples", "verdict"),
    [
        (MetricRule(name="m", max=1), 1.0, None, Verdict.PASS),
        (MetricRule(name="m", max=1), math.nextafter(1.0, 2), None, Verdict.FAIL),
        (MetricRule(name="m", min=1), 1.0, None, Verdict.PASS),
        (MetricRule(name="m", min=1), math.nextafter(1.0, 0), None, Verdict.FAIL),
        (MetricRule(name="m", min=1, max=2), 1.5, None, Verdict.PASS),
        (MetricRule(name="m", max=1), math.inf, None, Verdict.FAIL),
        (MetricRule(name="m", max=1), math.nan, None, Verdict.NO_DATA),
        (MetricRule(name="m", max=1), None, None, Verdict.NO_DATA),
        (MetricRule(name="m", max=1, min_samples=5), 9.0, 4, Verdict.NO_DATA),
        (MetricRule(name="m", max=1, min_samples=5), 9.0, math.nan, Verdict.NO_DATA),
        (MetricRule(name="m", max=1, min_samples=5), 0.0, None, Verdict.NO_DATA),
        (MetricRule(name="m", max=1, min_samples=5), 9.0, 5, Verdict.FAIL),
        (MetricRule(name="m", max=1, min_samples=5), 1.0, 5, Verdict.PASS),
        (MetricRule(name="m"), 1.0, None, Verdict.INCONCLUSIVE),
    ],
)
def test_one_look(rule: MetricRule, value: float | None, samples: float | None, verdict: Verdict) -> None:
    seen = look(rule, value, samples)
    assert seen.verdict is verdict
    assert seen.reason
    canonical_json(seen.data())


def test_a_plans_metric_is_judged_as_it_is() -> None:
    metric = MetricPlan(name="p95", query="q", max=0.5, unit="s")
    assert look(metric, 0.25).reason == "0.25 s is within at most 0.5 s"
    assert look(metric, 0.75).reason == "0.75 s is above 0.5 s"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((GOOD,), Verdict.PASS),
        ((None, GOOD), Verdict.PASS),
        (("down", GOOD), Verdict.PASS),
        ((GOOD, None), Verdict.INCONCLUSIVE),
        ((GOOD, "down"), Verdict.INCONCLUSIVE),
        ((None, None), Verdict.NO_DATA),
        ((None, "down"), Verdict.NO_DATA),
        (("down", "down"), Verdict.ERROR),
        ((GOOD, BAD), Verdict.FAIL),
    ],
)
def test_after_the_last_round(values: tuple[float | str | None, ...], verdict: Verdict) -> None:
    assert judged(*values).verdict is verdict


@pytest.mark.parametrize("tolerated", [0, 1, 3])
def test_tolerated_failures_are_inclusive(tolerated: int) -> None:
    rule = RULE.model_copy(update={"tolerated_failures": tolerated})
    at_the_limit = judged(*[BAD] * tolerated, GOOD, rule=rule)
    assert at_the_limit.verdict is Verdict.PASS
    beyond = judged(*[BAD] * (tolerated + 1), GOOD, rule=rule, count=tolerated + 2)
    assert beyond.verdict is Verdict.FAIL
    assert beyond.state.rounds == tolerated + 1
    assert "errors: 0.5 is above 0.05" in beyond.reason


def test_a_tolerated_failure_at_the_end_promotes_nothing() -> None:
    rule = RULE.model_copy(update={"tolerated_failures": 5})
    assert judged(GOOD, BAD, rule=rule).verdict is Verdict.INCONCLUSIVE
    assert judged(BAD, BAD, rule=rule).verdict is Verdict.INCONCLUSIVE


def test_errors_in_a_row_end_it_and_one_answer_starts_the_count_again() -> None:
    down = ["down"] * TOLERATED_ERRORS
    assert judged(*down, None, *down, GOOD).verdict is Verdict.PASS
    ended = judged(*down, "down", GOOD, count=99)
    assert ended.verdict is Verdict.ERROR
    assert ended.reason == f"errors: {TOLERATED_ERRORS + 1} times in a row: down"
    assert judged(*down, count=99).verdict is None


def test_a_failure_counts_more_than_an_error_in_the_same_round() -> None:
    rules = [MetricRule(name="a", max=1), MetricRule(name="b", max=1)]
    rounds = [[m("down", "a"), m(0.0, "b")]] * TOLERATED_ERRORS + [[m("down", "a"), m(2.0, "b")]]
    assert judge(rounds, rules=rules, count=9).verdict is Verdict.FAIL


def test_the_worst_metric_decides_and_is_named() -> None:
    rules = [MetricRule(name="a", max=1), MetricRule(name="b", max=1)]
    result = judge([[m(0.0, "a"), m(None, "b")]], rules=rules, count=1)
    assert (result.verdict, result.reason) == (Verdict.NO_DATA, "b: the query gave no value")


def test_a_metric_that_nobody_measured_never_passes() -> None:
    rules = [MetricRule(name="a", max=1), MetricRule(name="b", max=1)]
    assert judge([[m(0.0, "a")]], rules=rules, count=1).verdict is Verdict.ERROR
    assert judge([[]], rules=[], count=1).verdict is Verdict.NO_DATA


def test_without_a_count_it_goes_on_until_something_is_wrong() -> None:
    state = State()
    for _ in range(50):
        state, verdict, _, _ = step(state, [m(GOOD)], rules=[RULE], count=None)
        assert verdict is None
    assert step(state, [m(BAD)], rules=[RULE], count=None).verdict is Verdict.FAIL


def test_an_ended_analysis_stays_ended() -> None:
    ended = judged(BAD)
    again = step(ended.state, [m(GOOD)], rules=[RULE], count=1)
    assert (again.state, again.verdict, again.looks) == (ended.state, Verdict.FAIL, ())


VALUES = st.one_of(st.none(), st.just("down"), st.floats(allow_nan=True, allow_infinity=True))


@given(st.lists(VALUES, min_size=1, max_size=12), st.integers(0, 3), st.integers(1, 12))
def test_interrupting_changes_nothing_and_only_a_good_end_passes(
    values: list[float | str | None], tolerated: int, count: int
) -> None:
    rule = MetricRule(name="errors", max=0.05, tolerated_failures=tolerated)
    whole = judge([[m(v)] for v in values], rules=[rule], count=count)
    state, verdict = State(), None
    for value in values:
        carried = State.model_validate(json.loads(canonical_json(state.model_dump(mode="json"))))
        state, verdict, _, _ = step(carried, [m(value)], rules=[rule], count=count)
    assert (state, verdict) == (whole.state, whole.verdict)
    if verdict is Verdict.PASS:
        last = values[count - 1]
        assert isinstance(last, float)
        assert last <= 0.05
        failures = [v for v in values[:count] if isinstance(v, float) and v > 0.05]
        assert len(failures) <= tolerated
    if verdict is None:
        assert len(values) < count


SAYS = {"pass": GOOD, "no_data": LITTLE, "inconclusive": 1.0, "error": "no answer", "fail": BAD}
"""A value that gives each verdict, mildest first."""


@pytest.mark.parametrize(("milder", "worse"), itertools.pairwise(SAYS))
def test_an_analysis_is_as_bad_as_its_worst_metric(milder: str, worse: str) -> None:
    for one, other in ((milder, worse), (worse, milder)):
        rules = [
            MetricRule(name=n, max=None if v == "inconclusive" else 0.05)
            for n, v in zip("ab", (one, other), strict=True)
        ]
        seen = judge([[m(SAYS[one], "a"), m(SAYS[other], "b")]], rules=rules, count=1)
        assert seen.verdict is Verdict(worse)
