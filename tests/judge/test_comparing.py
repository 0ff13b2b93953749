"""Comparisons look by look: what is counted, when they end, and that a record gives the same verdicts."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Verdict
from relman_plugins.judge.comparing import Counted, Judgement, State, Terms, again, counted, step
from relman_plugins.plan.model import ComparedPlan, ComparisonPlan
from tests.judge.documents import judged

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


def events_of(judgements: list[Judgement], run: str = "r:step:try1") -> list[Event]:
    """Return looks as the ledger keeps them."""
    return [
        Event(
            id=n, release_id="r", kind=Kind.ANALYSIS_MEASURED, key=f"{run}:look{n}", at=datetime.now(UTC),
            step="step", environment=None, actor=Actor(),
            data={"look": n, "metrics": [look.data() for look in judgement.looks]},
        )
        for n, judgement in enumerate(judgements, start=1)
    ]  # fmt: skip


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
        new = [look[arm] for look in course.looks if look]
        most = max((max(pair[arm]) for pair in looks if pair), default=0)
        assert all(0 <= bad <= total for bad, total in new)
        assert sum(total for _, total in new) <= most


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
    assert second.state.metrics["errors"].looks == (((0, 100), (2, 100)), ((0, 50), (2, 50)))
    same = step(first.state, [seen((0, 150), (4, 150))], terms=by, run="try1")
    assert same.state.metrics["errors"].looks == second.state.metrics["errors"].looks


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
    assert counted("errors", [None, 9.6], [0, 10]).control is None


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
