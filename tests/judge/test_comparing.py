"""Comparisons look by look: what is counted, when they end, and that a record gives the same verdicts."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from relman_plugins.domain.status import Verdict
from relman_plugins.judge.comparing import (
    Counted,
    Judgement,
    State,
    Terms,
    again,
    counted,
    resumed,
    step,
)
from relman_plugins.plan.model import ComparedPlan, ComparisonPlan
from tests.judge.documents import events_of, judged

ERRORS, SLOW = (ComparedPlan(name=name, bad="b", total="t") for name in ("errors", "slow"))


def terms(*metrics: ComparedPlan, planned: int = 20, false_alarms: float = 0.02, **more: Any) -> Terms:
    known = {
        "false_alarms": false_alarms,
        "tolerance": 0.25,
        "undecided": "inconclusive",
        "early_pass": False,
    } | more
    return Terms(ComparisonPlan(metrics=metrics or (ERRORS,), **known), false_alarms, planned)


def seen(control: Any, experiment: Any, name: str = "errors") -> Counted:
    return Counted(name, control, experiment)


def followed(by: Terms, *looks: list[Counted], run: str = "try1") -> list[Judgement]:
    """Return what each look says, up to the one that ends it."""
    state, found = State(), []
    for came in looks:
        found.append(step(state, came, terms=by, run=run))
        state = found[-1].state
        if state.verdict:
            break
    return found


counts = some.integers(0, 300)
cumulative = some.lists(
    some.none() | some.tuples(some.tuples(counts, counts), some.tuples(counts, counts)),
    min_size=1,
    max_size=8,
)


@given(cumulative)
@settings(max_examples=200, deadline=None)
def test_nothing_is_counted_twice_and_no_more_is_bad_than_there_is(looks: list[Any]) -> None:
    by = terms(false_alarms=0.0001)
    came = [[seen(*((min(p), max(p)) for p in pair))] if pair else [seen(None, None)] for pair in looks]
    course = followed(by, *came)[-1].state.metrics["errors"]
    for arm in (0, 1):
        most = max((max(pair[arm]) for pair in looks if pair), default=0)
        bad, total = course.had[arm]
        assert 0 <= bad <= total <= most


@given(cumulative, some.lists(some.sampled_from(["try1", "try2"]), min_size=8, max_size=8), some.integers())
@settings(max_examples=100, deadline=None)
def test_a_watch_goes_on_from_what_judging_every_look_gives(looks: Any, runs: list[str], seed: int) -> None:
    by, state, events = terms(planned=99, false_alarms=0.0001), State(), []
    dice = random.Random(seed)
    for n, (pair, run) in enumerate(zip(looks, runs, strict=False), start=1):
        came = [seen(*((min(p), max(p)) for p in pair))] if pair else [Counted("errors", error="no answer")]
        judged = step(state, came, terms=by, run=run)
        if judged.looks:
            events += [e.model_copy(update={"id": n}) for e in events_of([judged], run)]
            events[-1].data["look"] = n
        state = judged.state
    kept = [e for n, e in enumerate(events) if n == len(events) - 1 or dice.random() < 0.7]
    found = [judged for _, judged in again(kept, terms=by)]
    # With a look that is lost another one can be the first to be certain.
    assume(all(judged.verdict is None for judged in found[:-1]))
    last = found[-1]
    dice.shuffle(kept)
    given = resumed([*kept, *kept[:1]], terms=by)
    whole = {name: course._replace(reason="") for name, course in last.state.metrics.items()}
    assert {name: course._replace(reason="") for name, course in given.metrics.items()} == whole
    assert (given.rounds, given.verdict, given.reason) == (
        last.state.rounds, last.state.verdict, last.state.reason,
    )  # fmt: skip


def test_a_look_without_an_answer_loses_nothing() -> None:
    by = terms()
    gap = followed(by, [seen((1, 100), (1, 100))], [seen(None, None)], [seen((3, 300), (3, 300))])
    every = followed(by, [seen((1, 100), (1, 100))], [seen((3, 300), (3, 300))])
    ends = [found[-1].state.metrics["errors"].mark for found in (gap, every)]
    assert ends[0] == ends[1] == ((3, 300), (3, 300))


def test_it_is_the_sequential_judge_that_is_asked() -> None:
    """The same numbers in a file give the same ratio, and end at the same look."""
    looks = [[seen((2 * n, 100 * n), (6 * n, 100 * n))] for n in range(1, 21)]
    found = followed(terms(), *looks)
    file = {"kind": "proportion", "control": [[2, 100]] * 20, "experiment": [[6, 100]] * 20}
    report = judged(file, method="sequential")
    assert report.verdict is Verdict.FAIL
    assert (found[-1].verdict, len(found)) == (Verdict.FAIL, report.more["looks"])
    assert found[-1].looks[0].effect == report.metrics[0].effect
    assert found[-1].looks[0].interval == report.metrics[0].interval


@pytest.mark.parametrize("false_alarms", [0.2, 0.1, 0.05, 0.02, 0.01, 0.005])
def test_harm_is_certain_at_the_level_that_was_asked_for(false_alarms: float) -> None:
    looks = [[seen((n, 100 * n), (3 * n, 100 * n))] for n in range(1, 61)]
    found = followed(terms(planned=60, false_alarms=false_alarms), *looks)
    file = {"kind": "proportion", "control": [[1, 100]] * 60, "experiment": [[3, 100]] * 60}
    report = judged(file, method="sequential", confidence=1 - false_alarms)
    assert (found[-1].verdict, len(found)) == (Verdict.FAIL, report.more["looks"])


@pytest.mark.parametrize(
    ("undecided", "verdict"), [("pass", Verdict.PASS), ("inconclusive", Verdict.INCONCLUSIVE)]
)
def test_what_stays_undecided_is_called_as_the_plan_says(undecided: str, verdict: Verdict) -> None:
    found = followed(terms(planned=1, undecided=undecided), [seen((2, 100), (2, 100))])
    assert found[-1].verdict is verdict


@pytest.mark.parametrize(("had", "verdict"), [(100, Verdict.PASS), (99, Verdict.NO_DATA)])
@pytest.mark.parametrize("new", [True, False])
def test_as_many_requests_as_are_needed_are_enough(had: int, verdict: Verdict, new: bool) -> None:
    by = terms(ERRORS.model_copy(update={"min_samples": 100}), planned=1, undecided="pass")
    arms = [(2, 500), (2, had)] if new else [(2, had), (2, 500)]
    assert followed(by, [seen(*arms)])[-1].verdict is verdict


@pytest.mark.parametrize("end", [(2, 100), (90, 100)])
def test_a_comparison_that_has_ended_stays_as_it_ended(end: tuple[int, int]) -> None:
    by = terms(planned=1, undecided="pass")
    ended = followed(by, [seen((2, 100), end)])[-1].state
    for more in ((2, 300), (290, 300)):
        after = step(ended, [seen((4, 300), more)], terms=by, run="try1")
        assert (after.state, after.looks) == (ended, ())


def test_good_versions_fail_no_more_often_than_was_said() -> None:
    """Two metrics, 12 looks, 150 releases: at a level of 20 % no more than that, over all of them."""
    dice, failed = random.Random(7), 0
    by = terms(ERRORS, SLOW, planned=12, false_alarms=0.2)
    for _ in range(150):
        totals = {name: [[0, 0], [0, 0]] for name in ("errors", "slow")}
        looks = []
        for _ in range(12):
            for arms in totals.values():
                for arm, requests in zip(arms, (90, 10), strict=True):
                    arm[0] += sum(dice.random() < 0.1 for _ in range(requests))
                    arm[1] += requests
            looks.append([seen(tuple(c), tuple(e), name) for name, (c, e) in totals.items()])
        failed += followed(by, *looks)[-1].verdict is Verdict.FAIL
    assert failed <= 30


def test_another_try_begins_to_count_at_0_and_keeps_the_evidence() -> None:
    by = terms()
    first = step(State(), [seen((0, 100), (2, 100))], terms=by, run="try1")
    second = step(first.state, [seen((0, 50), (2, 50))], terms=by, run="try2")
    assert second.state.metrics["errors"].added == ((0, 50), (2, 50))
    same = step(first.state, [seen((0, 150), (4, 150))], terms=by, run="try1")
    for one in (second, same):
        assert one.state.metrics["errors"].had == ((0, 150), (4, 150))
    assert same.looks[0].interval == second.looks[0].interval


def test_five_unanswered_looks_in_a_row_are_an_error_and_four_are_not() -> None:
    by, lost = terms(), [Counted("errors", error="HTTP 503")]
    found = followed(by, *[lost] * 6)
    assert (len(found), found[-1].reason) == (5, "errors: 5 times in a row: HTTP 503")
    again_ = followed(by, *[lost] * 4, [seen((0, 9), (0, 9))], *[lost] * 4)
    assert [j.verdict for j in again_] == [None] * 9


def test_one_metric_without_data_keeps_all_from_passing() -> None:
    by = terms(ERRORS, SLOW, planned=1, undecided="pass")
    found = followed(by, [seen((0, 100), (0, 100)), seen((0, 100), None, "slow")])[-1]
    assert (found.verdict, found.reason) == (
        Verdict.NO_DATA,
        "slow: no requests of the new version were counted",
    )


def test_what_has_not_answered_at_last_does_not_pass() -> None:
    by = terms(planned=2, undecided="pass")
    found = followed(by, [seen((0, 100), (0, 100))], [seen((0, 100), None)])[-1]
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "errors: the last look had no numbers")


def test_a_limit_of_its_own_is_harm_where_both_versions_are_bad() -> None:
    limit = ERRORS.model_copy(update={"max": 0.05})
    looks = [[seen((30 * n, 100 * n), (30 * n, 100 * n))] for n in range(1, 4)]
    assert followed(terms(planned=3), *looks)[-1].verdict is not Verdict.FAIL
    found = followed(terms(limit, planned=3), *looks)[-1]
    assert found.verdict is Verdict.FAIL
    assert found.reason.endswith("; at most 0.05 is allowed")


@pytest.mark.parametrize(
    ("control", "experiment", "error"),
    [
        ([0, 10], [float("inf"), 10], "inf is no number of requests (of the new version)"),
        ([-3, 10], [0, 10], "-3 is no number of requests (of the old version)"),
        ([40, 10], [0, 10], "40 bad of 10 requests of the old version: bad must count some of total's"),
    ],
)
def test_answers_that_lie_are_errors(control: Any, experiment: Any, error: str) -> None:
    assert counted("errors", control, experiment).error == error


def test_estimates_are_rounded_and_nothing_is_nothing() -> None:
    assert counted("errors", [2.4, 9.6], [10.4, 9.9]) == Counted("errors", (2, 10), (10, 10))
    assert counted("errors", [None, 9.6], [None, 10]) == Counted("errors")
    assert counted("errors", [None, None], [0, 10]) == Counted("errors", None, (0, 10))


def test_an_old_version_without_a_series_of_errors_had_none_where_the_new_one_has_some() -> None:
    came = counted("errors", [None, 1000], [100, 100])
    assert came == Counted("errors", (0, 1000), (100, 100))
    assert followed(terms(), [came])[-1].verdict is Verdict.FAIL
    # Nobody knows whether the new one counts what is bad the same way.
    assert counted("errors", [100, 1000], [None, 100]).experiment is None


PASSES = {"planned": 12, "undecided": "pass"}


def test_numbers_of_the_new_version_that_stand_still_do_not_pass() -> None:
    by = terms(**PASSES)
    found = followed(by, *[[seen((0, 100 * n), (0, 100 * min(n, 2)))] for n in range(1, 13)])[-1]
    assert (found.verdict, found.reason) == (
        Verdict.INCONCLUSIVE,
        "errors: no new requests of the new version since look 2: 0 of 200 bad, of the old version 0 of 1200",
    )
    found = followed(by, *[[seen((0, 100 * min(n, 8)), (0, 100 * n))] for n in range(1, 13)])[-1]
    assert found.reason.startswith("errors: no new requests of the old version since look 8: 0 of ")
    found = followed(by, *[[seen((0, 100 * min(n, 9)), (0, 100 * min(n, 9)))] for n in range(1, 13)])[-1]
    assert found.verdict is Verdict.PASS


@pytest.mark.parametrize("tries", [2, 3])
def test_the_late_looks_are_three_at_least(tries: int) -> None:
    by = terms(planned=4, undecided="pass")
    found = followed(by, *[[seen((0, 100 * n), (0, 100 * min(n, tries - 1)))] for n in range(1, 5)])[-1]
    assert found.verdict is (Verdict.INCONCLUSIVE if tries == 2 else Verdict.PASS)


def test_a_server_that_lost_its_data_asks_people() -> None:
    """What comes after is below the mark, so nothing of it would be counted, however bad it is."""
    by = terms(**PASSES)
    good = [[seen((n, 1000 * n), (n, 1000 * n))] for n in range(1, 5)]
    lost = [[seen((0, 100 * n), (100 * n, 100 * n))] for n in range(1, 9)]
    found = followed(by, *good, *lost)
    assert (len(found), found[-1].verdict) == (9, Verdict.ERROR)
    said = "fewer requests of the new version than at a look before: 500 after 4000"
    assert found[-1].reason == f"errors: 5 times in a row: {said}"
    recorded = events_of(followed(by, *good, *lost, run="r:step:try1"))
    assert [judgement for _, judgement in again(recorded, terms=by)][-1].reason == found[-1].reason


def test_one_number_far_too_high_asks_people() -> None:
    by = terms(**PASSES)
    looks = [[seen((n, 500 * n), (500 * (n - 1), 100_000 if n == 1 else 500 * n))] for n in range(1, 13)]
    assert followed(by, *looks)[-1].verdict is Verdict.ERROR


def test_estimates_may_go_back_a_little_and_another_try_to_0() -> None:
    by = terms()
    first = step(State(), [seen((0, 100), (0, 100))], terms=by, run="try1")
    for pair, run, verdict in (
        ((0, 89), "try1", Verdict.INCONCLUSIVE),
        ((0, 88), "try1", Verdict.ERROR),
        ((0, 50), "try2", Verdict.INCONCLUSIVE),
    ):
        assert step(first.state, [seen((0, 200), pair)], terms=by, run=run).looks[0].verdict is verdict


def test_an_early_pass_needs_requests_of_both_in_its_look() -> None:
    by = terms(early_pass=True)
    many = step(State(), [seen((4000, 9000), (4000, 9000))], terms=terms(), run="try1")
    assert many.looks[0].verdict is Verdict.PASS
    same = [seen((4100, 9300), (4000, 9000))]
    assert step(many.state, same, terms=by, run="try1").verdict is None
    both = [seen((4100, 9300), (4100, 9300))]
    assert step(many.state, both, terms=by, run="try1").verdict is Verdict.PASS


@pytest.mark.parametrize("control", [(0, 0), None])
def test_a_limit_needs_no_old_version(control: Any) -> None:
    limit = ERRORS.model_copy(update={"max": 0.05})
    looks = [[seen(control, (30 * n, 100 * n))] for n in range(1, 4)]
    found = followed(terms(limit, planned=3), *looks)[-1]
    assert (found.verdict, found.looks[0].effect) == (Verdict.FAIL, None)
    assert found.reason.endswith("(30 %) bad, of the old version none; at most 0.05 is allowed")
    fine = [[seen(control, (n, 100 * n))] for n in range(1, 4)]
    found = followed(terms(limit, planned=3), *fine)[-1]
    assert (found.verdict, found.reason) == (
        Verdict.NO_DATA,
        "errors: no requests of the old version were counted",
    )


def test_what_a_limit_saw_alone_is_compared_when_the_old_version_answers() -> None:
    by = terms(ERRORS.model_copy(update={"max": 0.5}))
    found = followed(by, [seen(None, (1, 100))], [seen((2, 300), (3, 200))])[-1].state
    assert found.metrics["errors"].had == ((2, 300), (3, 200))


def test_a_record_is_judged_by_the_numbers_of_its_looks() -> None:
    by = terms(planned=4)
    looks = [[seen((n, 100 * n), (n, 100 * n))] for n in range(1, 5)]
    found = followed(by, *looks, run="r:step:try1")
    recorded = events_of(found)
    late = [recorded[i].model_copy(update={"id": n}) for n, i in enumerate((2, 0, 3, 1), start=1)]
    assert [judgement for _, judgement in again(late, terms=by)] == found
    gap = [judgement.state for _, judgement in again([recorded[0], recorded[3]], terms=by)][-1]
    assert (gap.rounds, gap.metrics["errors"].had) == (4, ((4, 400), (4, 400)))
    assert gap.metrics["errors"].added == ((3, 300), (3, 300))
    assert gap.verdict is found[-1].verdict
    other = recorded[0].model_copy(update={"id": 5, "key": "r:step:try2:look1"})
    assert [judgement.state for _, judgement in again([*recorded, other], terms=by)][-1] == found[-1].state


@given(some.lists(some.tuples(counts, counts, counts, counts), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_record_gives_the_same_verdicts(rows: list[Any]) -> None:
    by, sums, looks = terms(planned=4), [0, 0, 0, 0], []
    for row in rows:
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        c, e = sorted(sums[:2]), sorted(sums[2:])
        looks.append([seen((c[0], c[1]), (e[0], e[1]))])
    found = followed(by, *looks, run="r:step:try1")
    recorded = events_of(found)
    assert [judgement for _, judgement in again(recorded, terms=by)] == found
