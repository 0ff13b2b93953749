"""Another policy on past releases: what comes out otherwise, and what nobody can tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.evidence.backtest import UNKNOWN, WENT_ON, Tried, confusion, tried
from relman_plugins.judge import sampled
from relman_plugins.plan.judges import SampledMetricPlan, SampledPlan
from relman_plugins.plan.model import AnalysisPlan, MetricPlan
from tests.evidence.conftest import Book
from tests.evidence.make import BESIDE, CANARY, Story, compared, shape

GOLDEN = shape().analysis("golden")
ERRORS, SLOW = GOLDEN.metrics


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    book = Book(f"sqlite:///{tmp_path_factory.mktemp('past') / 'ledger.db'}")
    yield book
    book.ledger.close()


@pytest.fixture(scope="module")
def past(book: Book) -> list[Story]:
    """Have a release that passed, one that failed at its second look, and one that was compared."""
    runs = [("good", (0.01, 0.02)), ("bad", (0.01, 0.5))]
    by_limits = [
        Story(book.ledger, book.clock, run).build().approve().shift().measure(*errors) for run, errors in runs
    ]
    beside = Story(book.ledger, book.clock, "beside", planned=compared()).build().approve().shift()
    return [*by_limits, beside.compare(((1, 200), (1, 200)), ((2, 400), (2, 400)))]


def given_by(book: Book, past: list[Story], *policy: AnalysisPlan) -> list[Tried]:
    by_name = {a.name: a for a in policy}
    return [
        one
        for story in past
        for one in tried(story.id, story.release.plan.shape, book.ledger.events(story.id), by_name)
    ]


def limits(errors: MetricPlan, *more: MetricPlan) -> AnalysisPlan:
    return GOLDEN.model_copy(update={"metrics": (errors, *more)})


def test_the_same_policy_says_the_same(book: Book, past: list[Story]) -> None:
    beside = compared().analysis("beside")
    found = given_by(book, past, GOLDEN, beside)
    assert [(one.recorded, one.given, one.otherwise) for one in found] == [
        ("pass", "pass", False), ("fail", "fail", False), ("pass", "pass", False),
    ]  # fmt: skip
    assert confusion(found) == {"pass": {"pass": 2}, "fail": {"fail": 1}}


def test_a_tighter_limit_and_a_looser_one(book: Book, past: list[Story]) -> None:
    tight = given_by(book, past, limits(ERRORS.model_copy(update={"max": 0.015}), SLOW))
    assert [(one.recorded, one.given) for one in tight] == [("pass", "fail"), ("fail", "fail")]
    assert tight[0].reason == "errors: 0.02 is above 0.015 (failed look 1)"
    loose = given_by(book, past, limits(ERRORS.model_copy(update={"max": 0.6})))
    assert [(one.recorded, one.given) for one in loose] == [("pass", "pass"), ("fail", "pass")]
    assert confusion(loose) == {"pass": {"pass": 1}, "fail": {"pass": 1}}


def test_a_policy_that_would_have_gone_on_has_no_verdict(book: Book) -> None:
    story = Story(book.ledger, book.clock, "early").build().approve().shift().measure(0.5)
    (one,) = given_by(book, [story], limits(ERRORS.model_copy(update={"tolerated_failures": 1}), SLOW))
    assert (one.recorded, one.given, one.otherwise) == ("fail", WENT_ON, True)


def test_a_comparison_that_asks_people_instead_of_passing(book: Book, past: list[Story]) -> None:
    asks = BESIDE.model_copy(update={"undecided": "inconclusive"})
    (one,) = given_by(book, past, AnalysisPlan(name="beside", connection="m", comparison=asks))
    assert (one.recorded, one.given) == ("pass", "inconclusive")
    assert "neither harm nor its absence is certain" in one.reason


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (limits(ERRORS.model_copy(update={"query": "other"})), "errors asks another query"),
        (limits(ERRORS.model_copy(update={"samples": "n"})), "errors asks another samples"),
        (limits(MetricPlan(name="new", query="n", max=1)), "new was not looked at"),
        (
            GOLDEN.model_copy(update={"source": "loki"}),
            "was asked of prometheus, and loki may say something else",
        ),
        (
            GOLDEN.model_copy(update={"connection": "other"}),
            f"was asked behind {GOLDEN.connection}, and other may say something else",
        ),
        (
            AnalysisPlan(name="golden", connection="m", comparison=BESIDE),
            "was judged by thresholds, and sequential asks for other numbers",
        ),
    ],
)
def test_what_was_not_asked_cannot_be_told(book: Book, past: list[Story], policy: Any, why: str) -> None:
    found = given_by(book, past, policy)
    assert {(one.given, one.reason, one.otherwise) for one in found} == {(UNKNOWN, why, False)}
    assert len(found) == 2


@pytest.mark.parametrize(
    ("then", "now", "why"),
    [
        ("beside", "before", "was compared with the time of the looks, not before the change"),
        ("before", "beside", "was compared with the time before the change, not of the looks"),
    ],
)
def test_samples_of_another_time_say_nothing(book: Book, then: Any, now: Any, why: str) -> None:
    def plan(against: Any) -> AnalysisPlan:
        metrics = (SampledMetricPlan(name="p99", query="q"),)
        terms = SampledPlan(metrics=metrics, terms={}, early_fail=False, against=against)
        return AnalysisPlan(name="beside", connection="m", sampled=terms)

    planned = compared().model_copy(update={"analyses": (plan(then),)})
    story = Story(book.ledger, book.clock, f"samples {then}", planned=planned).build().approve().shift()
    about, key = {"analysis": "beside", "weight": 50}, f"{story.id}:{CANARY}:try1"
    came, by = sampled.Sample("p99", 1.0, 1.0), sampled.Terms(plan(then).sampled, 1)  # type: ignore[arg-type]
    judged = sampled.step(sampled.State(), [came], terms=by)
    metrics = [look.data() for look in judged.looks]
    story.tell(Kind.ANALYSIS_MEASURED, CANARY, f"{key}:look1", **about, look=1, metrics=metrics)
    ended = {"verdict": "pass", "reason": judged.reason, "looks": 1}
    story.tell(Kind.ANALYSIS_FINISHED, CANARY, f"{key}:finished", **about, **ended)
    (one,) = given_by(book, [story], plan(now))
    assert (one.given, one.reason) == (UNKNOWN, why)
    (same,) = given_by(book, [story], plan(then))
    assert same.given != UNKNOWN
