"""Samples of both versions look by look: judged once, or early where that is no false alarm."""

from __future__ import annotations

import math
import random
from typing import Any, Literal

import pytest

from relman_plugins.domain.confidence import EARLY_SHARE, SUREST
from relman_plugins.domain.status import Verdict
from relman_plugins.judge import run
from relman_plugins.judge.sampled import Judgement, Sample, State, Terms, again, resumed, step
from relman_plugins.plan.judges import SampledMetricPlan, SampledPlan
from relman_plugins.spec.rules.judging import fewest, most_early
from tests.judge.documents import events_of
from tests.judge.documents import judged as by_file

KNOWN = {"confidence": 0.98, "tolerance": 0.25, "thresholds": {"pass": 95, "marginal": 75}}


def metric(name: str = "p99", **terms: Any) -> SampledMetricPlan:
    return SampledMetricPlan(name=name, query="q", terms={"direction": "increase"} | terms)


def terms(
    *metrics: SampledMetricPlan,
    planned: int = 10,
    early_fail: bool = False,
    against: Literal["beside", "before"] = "beside",
    **more: Any,
) -> Terms:
    plan = SampledPlan(
        metrics=metrics or (metric(),), terms=KNOWN | more, early_fail=early_fail, against=against
    )
    return Terms(plan, planned)


def pair(control: float | None, experiment: float | None, name: str = "p99") -> Sample:
    return Sample(name, control, experiment)


def followed(by: Terms, *looks: list[Sample]) -> list[Judgement]:
    state, found = State(), []
    for came in looks:
        found.append(step(state, came, terms=by))
        state = found[-1].state
        if state.verdict:
            break
    return found


def far(n: int) -> list[Sample]:
    return [pair(1 + n / 100, 9 + n / 100)]


def test_nothing_is_judged_before_the_last_look_however_bad_it_is() -> None:
    found = followed(terms(), *map(far, range(10)))
    assert [j.verdict for j in found] == [None] * 9 + [Verdict.FAIL]
    assert found[0].looks[0].reason == "9, of the old version 1; look 1 of 10"
    assert found[-1].reason.startswith("score 0, because of p99; at least 75 needed; p99: shift of 8")


def test_it_is_the_judge_of_files_that_is_asked() -> None:
    dice = random.Random(3)
    arms = [[dice.gauss(10, 1) for _ in range(10)], [dice.gauss(12, 1) for _ in range(10)]]
    end = followed(terms(), *([pair(c, e)] for c, e in zip(*arms, strict=True)))[-1]
    report = by_file(
        {"control": arms[0], "experiment": arms[1], "direction": "increase"}, method="mann_whitney"
    )
    assert end.verdict is report.verdict
    assert (end.looks[0].effect, end.looks[0].interval) == (
        report.metrics[0].effect,
        report.metrics[0].interval,
    )


def test_what_is_clear_fails_early_where_that_is_allowed() -> None:
    found = followed(terms(planned=20, early_fail=True), *map(far, range(20)))
    assert found[-1].verdict is Verdict.FAIL
    assert 5 < len(found) < 20
    assert found[-1].reason.startswith(f"after {len(found)} looks: score 0, because of p99")


def test_good_versions_fail_no_more_often_than_was_said_with_early_looks() -> None:
    """300 releases of 20 looks at a level of 20 %, of which 10 % are on this side."""
    dice, failed = random.Random(11), 0
    by = terms(planned=20, early_fail=True, confidence=0.8, tolerance=0.0)
    for _ in range(300):
        looks = ([pair(dice.lognormvariate(0, 1), dice.lognormvariate(0, 1))] for _ in range(20))
        failed += followed(by, *looks)[-1].verdict is Verdict.FAIL
    assert failed <= 45


def test_a_comparison_with_the_time_before_says_that_it_is_weaker() -> None:
    weaker = "compared with the time before the change only, which is weaker: score"
    assert (
        followed(terms(against="before"), *[[pair(1.0, 1.0)]] * 10)[-1].reason == f"{weaker} 100; 95 needed"
    )
    assert followed(terms(against="before"), *map(far, range(10)))[-1].reason.startswith(
        f"{weaker} 0, because"
    )
    early = followed(terms(planned=20, early_fail=True, against="before"), *map(far, range(20)))[-1]
    assert f"looks: {weaker} 0" in early.reason


def test_want_of_data_never_fails_early() -> None:
    by = terms(metric(must_have_data=True), planned=10, early_fail=True)
    found = followed(by, *[[pair(1.0, None)]] * 10)
    assert len(found) == 10
    assert found[-1].verdict is Verdict.FAIL
    assert found[0].looks[0].reason == "no value of the new version"


@pytest.mark.parametrize(
    ("last", "verdict", "said"),
    [
        (pair(1.0, 1.0), Verdict.PASS, "score 100; 95 needed"),
        (Sample("p99", error="no answer"), Verdict.INCONCLUSIVE, "p99: the last look had no numbers"),
        (pair(1.0, math.inf), Verdict.INCONCLUSIVE, "p99: the last look had no numbers"),
        (pair(1.0, math.nan), Verdict.PASS, "score 100; 95 needed"),
    ],
)
def test_a_last_look_that_was_not_answered_does_not_pass(last: Sample, verdict: Verdict, said: str) -> None:
    end = followed(terms(), *[[pair(1.0, 1.0)]] * 9, [last])[-1]
    assert (end.verdict, end.reason) == (verdict, said)


@pytest.mark.parametrize(("arm", "whose"), [(0, "old"), (1, "new")])
def test_a_version_whose_numbers_end_does_not_pass_on_those_it_had(arm: int, whose: str) -> None:
    late = [pair(*(None if n == arm else 1.0 for n in (0, 1)))]
    end = followed(terms(), *[[pair(1.0, 1.0)]] * 6, *[late] * 4)[-1]
    assert end.verdict is Verdict.INCONCLUSIVE
    assert end.reason == f"p99: no value of the {whose} version in the last 4 looks that were answered"
    assert followed(terms(), *[[pair(1.0, 1.0)]] * 7, *[late] * 3)[-1].verdict is Verdict.PASS


def test_a_muted_metric_decides_nothing_even_without_an_answer() -> None:
    by = terms(metric(), metric("memory", muted=True))
    fine = [pair(1.0, 1.0), pair(1.0, 90.0, "memory")]
    assert followed(by, *[fine] * 9, fine[:1])[-1].verdict is Verdict.PASS


def test_infinite_values_five_times_in_a_row_end_it() -> None:
    found = followed(terms(planned=50), *[[pair(1.0, -math.inf)]] * 50)
    assert (len(found), found[-1].verdict) == (5, Verdict.ERROR)
    assert found[-1].reason == "p99: 5 times in a row: -inf can't be compared (of the new version)"


def test_a_record_gives_the_same_again() -> None:
    by = terms(planned=12, early_fail=True)
    looks = [[Sample("p99", error="no answer")], [pair(1.0, None)], *map(far, range(10))]
    found = followed(by, *looks)
    events = events_of(found)
    given = [judged for _, judged in again(reversed(events), terms=by)]
    assert [[look.data() for look in j.looks] for j in given] == [e.data["metrics"] for e in events]
    assert given[-1].reason == found[-1].reason


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.98, 0.999, 0.99999])
def test_the_fewest_looks_of_a_spec_are_the_fewest_that_show_anything(confidence: float) -> None:
    def label(looks: int) -> str:
        arms = {"control": [float(n) for n in range(looks)], "experiment": [100.0 + n for n in range(looks)]}
        return (
            by_file(arms, method="mann_whitney", confidence=confidence, tolerance=0.0)
            .metrics[0]
            .classification
        )

    least = fewest(confidence)
    assert label(least) == "High"
    assert label(least - 1) == "Nodata"


@pytest.mark.parametrize(("confidence", "planned"), [(0.98, 2010), (0.999, 120), (0.999999, 12)])
def test_early_looks_are_never_asked_to_be_surer_than_anything_may_be(
    confidence: float, planned: int
) -> None:
    by = terms(planned=planned, early_fail=True, confidence=confidence)
    assert followed(by, *map(far, range(2)))[-1].verdict is None
    assert followed(terms(planned=1, early_fail=True, confidence=0.999999), far(0))[-1].verdict is not None


@pytest.mark.parametrize("confidence", [0.8, 0.98, 0.999])
def test_the_most_looks_of_a_spec_are_the_most_that_share_what_may_fail_early(confidence: float) -> None:
    def surest(looks: int) -> float:
        return 1 - (1 - confidence) * EARLY_SHARE / (looks - 1)

    most = most_early(confidence)
    assert surest(most) == pytest.approx(SUREST, abs=1e-12)
    assert surest(most + 1) > SUREST


@pytest.mark.parametrize(("arm", "whose"), [(0, "old"), (1, "new")])
def test_a_version_that_never_had_a_value_does_not_pass(arm: int, whose: str) -> None:
    by = terms(metric("a"), metric("b"), metric("p99"))
    silent = pair(*(None if n == arm else 1.0 for n in (0, 1)))
    end = followed(by, *[[pair(1.0, 1.0, "a"), pair(1.0, 1.0, "b"), silent]] * 10)[-1]
    assert end.verdict is Verdict.INCONCLUSIVE
    assert end.reason == f"p99: no value of the {whose} version in the last 4 looks that were answered"
    zeros = terms(metric("a"), metric("b"), metric("p99", nan_strategy="replace", direction="decrease"))
    seen = [pair(1.0, 1.0, "a"), pair(1.0, 1.0, "b"), pair(None, 1.0)]
    assert followed(zeros, *[seen] * 10)[-1].verdict is Verdict.PASS


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e301])
def test_a_value_that_is_too_large_to_be_compared_keeps_a_metric_from_passing(value: float) -> None:
    by = terms(planned=20)
    looks = [[pair(1.0, value if n == 4 else 1.0)] for n in range(20)]
    found = followed(by, *looks)
    assert found[-1].verdict is Verdict.INCONCLUSIVE
    assert found[-1].reason == "p99: 1 look had a value that is too large to be compared"
    given = [judged for _, judged in again(events_of(found), terms=by)]
    assert (given[-1].verdict, given[-1].reason) == (found[-1].verdict, found[-1].reason)
    harmful = followed(by, [pair(1.0, value)], *map(far, range(19)))[-1]
    assert harmful.verdict is Verdict.FAIL
    advisory = terms(metric(), metric("b", muted=True), planned=20)
    beside = ([pair(1.0, 1.0), pair(1.0, value if n % 2 else 1.0, "b")] for n in range(20))
    assert followed(advisory, *beside)[-1].verdict is Verdict.PASS


@pytest.mark.parametrize(("unanswered", "verdict"), [(10, Verdict.PASS), (11, Verdict.INCONCLUSIVE)])
def test_fewer_answers_than_looks_without_do_not_pass(unanswered: int, verdict: Verdict) -> None:
    # Never five in a row, and an answer at the end.
    order = [True, True, True, True, False] * (unanswered // 4) + [True] * (unanswered % 4)
    order += [False] * (20 - len(order))
    assert sum(order) == unanswered
    silent = Sample("p99", error="no answer")
    end = followed(terms(planned=20), *([silent] if not_ else [pair(1.0, 1.0)] for not_ in order))[-1]
    assert end.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE:
        assert end.reason == "p99: only 9 of 20 looks were answered"


def test_silence_is_not_zeros_where_there_must_be_data() -> None:
    silent = [[pair(1.0, None)]] * 10
    by = {"nan_strategy": "replace", "direction": "increase"}
    assert followed(terms(metric(**by)), *silent)[-1].verdict is Verdict.PASS
    end = followed(terms(metric(**by, must_have_data=True)), *silent)[-1]
    assert end.verdict is Verdict.FAIL
    assert "p99: must have data, and experiment has none" in end.reason


@pytest.mark.parametrize("early_fail", [False, True])
@pytest.mark.parametrize("kept", [0, 1, 5, 11, 12])
def test_what_is_resumed_is_what_all_looks_one_after_the_other_gave(kept: int, early_fail: bool) -> None:
    by = terms(planned=12, early_fail=early_fail)
    odd = [[Sample("p99", error="no answer")], [pair(1.0, None)], [pair(1.0, math.inf)]]
    events = events_of(followed(by, *odd, *[[pair(1.0, 1.0)]] * 9))[:kept]
    twice = [*reversed(events), *(e.model_copy(update={"id": e.id + 100}) for e in events)]
    gapped = [e for e in twice if e.data["look"] != 2]
    for looks in (twice, gapped):
        states = [judged.state for _, judged in again(looks, terms=by) if judged.looks]
        assert resumed(looks, terms=by) == (states[-1] if states else State())


def test_only_the_last_of_the_looks_that_are_resumed_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    by = terms(planned=30, early_fail=True)
    events = events_of(followed(by, *[[pair(1.0, 1.0)]] * 25))
    asked: list[Any] = []
    judge = run.judge
    monkeypatch.setattr(run, "judge", lambda document: asked.append(document) or judge(document))
    assert resumed(events, terms=by).rounds == 25
    assert len(asked) == 1
