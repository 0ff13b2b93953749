"""Comparisons in evidence: judged again by the counts, and what somebody could write instead is found."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import DesiredState
from relman_plugins.evidence.verify import Verified
from relman_plugins.judge import burning, sampled
from relman_plugins.plan.judges import (
    BudgetPlan,
    BurnWindowPlan,
    ObjectivePlan,
    SampledMetricPlan,
    SampledPlan,
)
from relman_plugins.plan.model import AnalysisPlan
from tests.evidence.conftest import Book
from tests.evidence.forge import rechained
from tests.evidence.make import CANARY, NEW, Story, compared
from tests.evidence.test_verify import Good, failed

FINE = (((1, 200), (1, 200)), ((2, 400), (2, 400)))
BAD = (((1, 200), (60, 200)),)


def told(good: Good, run_id: str) -> tuple[Book, Story]:
    book, _ = good
    return book, Story(book.ledger, book.clock, run_id, planned=compared()).build().approve().shift()


def checked(book: Book, story: Story) -> Verified:
    return book.verify(book.statement(story))


def test_a_comparison_that_passed_and_one_that_failed_are_good_evidence(good: Good) -> None:
    book, story = told(good, "compared")
    assert checked(book, story.compare(*FINE).promote()).good
    book, story = told(good, "compared-bad")
    found = checked(book, story.compare(*BAD).back())
    assert found.good, found.findings


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("metrics", 0, "experiment"), [60, 200], "gives fail (harm is certain after 1 look"),
        (("metrics", 0, "verdict"), "pass", "recorded is pass"),
        (("metrics", 0, "reason"), "all is well", "recorded is inconclusive (all is well)"),
        (("look",), 2, "look 1 is not recorded"),
    ],
)
def test_a_forged_look_is_told(good: Good, place: tuple[Any, ...], value: Any, said: str) -> None:
    book, story = told(good, f"forged-{place[-1]}-{value}")
    statement = copy.deepcopy(book.statement(story.compare(*FINE).promote()))
    look = next(e for e in statement["predicate"]["events"] if e["kind"] == "analysis.measured")["data"]
    for key in place[:-1]:
        look = look[key]
    look[place[-1]] = value
    assert said in failed(book.verify(rechained(statement)))["verdicts"]


def test_looks_that_a_spool_delivered_late_are_judged_in_their_order(good: Good) -> None:
    book, story = told(good, "late")
    statement = copy.deepcopy(book.statement(story.compare(*FINE).promote()))
    looks = [e for e in statement["predicate"]["events"] if e["kind"] == "analysis.measured"]
    first, second = looks
    for key in ("data", "key"):
        first[key], second[key] = second[key], first[key]
    found = book.verify(rechained(statement))
    assert "verdicts" not in failed(found), found.findings
    first["data"] = second["data"] = second["data"] | {"look": 1}
    assert "look 1 is recorded twice" in failed(book.verify(rechained(statement)))["verdicts"]


def test_a_promotion_on_numbers_that_say_harm_is_told(good: Good) -> None:
    book, story = told(good, "promoted")
    said = failed(checked(book, story.compare(*BAD).promote()))["changes"]
    assert "step production.canary_100 was gone on from without a good verdict of 'beside'" in said


def test_a_verdict_that_the_counts_do_not_give_is_told(good: Good) -> None:
    book, story = told(good, "made-up")
    story.compare(FINE[0])
    problems = failed(checked(book, story.promote()))
    assert "without a good verdict" in problems["changes"]
    statement = copy.deepcopy(book.statement(story))
    ended = next(e for e in statement["predicate"]["events"] if e["kind"] == "analysis.finished")
    ended["data"] |= {"verdict": "pass", "reason": "all is well"}
    said = failed(book.verify(rechained(statement)))["verdicts"]
    assert "the numbers give no verdict after 1 looks, recorded is pass after 1 looks (all is well)" in said


def test_a_first_version_that_nobody_was_asked_about_is_told(good: Good) -> None:
    """There is nothing to compare it with, so people must have said that it may go on."""
    book, _ = good
    story = Story(book.ledger, book.clock, "first", planned=compared()).build().approve()
    everything = DesiredState(stable=NEW, stable_replicas=2).model_dump(mode="json")
    base = {"desired": everything, "token": 1, "previous": None}
    story.tell(Kind.CHANGE_STARTED, CANARY, "first:change.started", **base)
    story.tell(Kind.CHANGE_FINISHED, CANARY, "first:change.finished", **base, promoted=True)
    ended = {"verdict": "no_data", "reason": "nothing to compare with", "looks": 0}
    story.tell(Kind.ANALYSIS_FINISHED, CANARY, "first:finished", analysis="beside", weight=50, **ended)
    assert checked(book, story).good
    other = everything | {"stable_replicas": 3}
    story.tell(Kind.CHANGE_STARTED, CANARY, "later:change.started", **base | {"desired": other})
    assert "without a good verdict of 'beside'" in failed(checked(book, story))["changes"]


SAMPLED = AnalysisPlan(
    name="beside",
    connection="m",
    sampled=SampledPlan(
        metrics=(SampledMetricPlan(name="p99", query="q", terms={"direction": "increase"}),),
        terms={"confidence": 0.8, "tolerance": 0.25},
        early_fail=False,
    ),
)
BUDGET = AnalysisPlan(
    name="beside",
    connection="m",
    budget=BudgetPlan(
        metrics=(ObjectivePlan(name="available", objective=0.999, bad="b", total="t"),),
        windows=(BurnWindowPlan(long_s=3600, short_s=300, burn_rate=14.4, severity="page"),),
    ),
)


def by_samples(story: Story) -> Iterator[tuple[Any, int]]:
    assert SAMPLED.sampled is not None
    terms, state = sampled.Terms(SAMPLED.sampled, 4), sampled.State()
    for n in range(4):
        judged = sampled.step(state, [sampled.Sample("p99", 1 + n / 10, 1.05 + n / 10)], terms=terms)
        state = judged.state
        yield judged, n


def by_budget(story: Story) -> Iterator[tuple[Any, int]]:
    assert BUDGET.budget is not None
    terms, state = burning.Terms(BUDGET.budget.metrics, BUDGET.budget.windows, 4), burning.State()
    for n in range(4):
        counts = {300: (1, 1000), 3600: (n, 1000 * (n + 1))}
        judged = burning.step(state, [burning.Burned("available", 300.0 * (n + 1), counts)], terms=terms)
        state = judged.state
        yield judged, n


@pytest.mark.parametrize(
    ("analysis", "told", "place", "value"),
    [
        (SAMPLED, by_samples, "experiment", 90.0),
        (BUDGET, by_budget, "windows", {"300": [900, 1000], "3600": [900, 1000]}),
    ],
    ids=["mann_whitney", "slo"],
)
def test_the_other_judges_are_judged_again_from_the_record_too(
    good: Good, analysis: AnalysisPlan, told: Any, place: str, value: Any
) -> None:
    book, _ = good
    planned = compared()
    steps = tuple(
        s.model_copy(update={"args": s.args | {"count": 4}}) if s.id == CANARY else s for s in planned.steps
    )
    planned = planned.model_copy(update={"analyses": (analysis,), "steps": steps})
    story = Story(book.ledger, book.clock, f"{analysis.judge}-run", planned=planned).build().approve().shift()
    about, judged = {"analysis": "beside", "weight": 50}, None
    for judged, n in told(story):
        metrics = [look.data() for look in judged.looks]
        key = f"{story.id}:try1:look{n + 1}"
        story.tell(Kind.ANALYSIS_MEASURED, CANARY, key, **about, look=n + 1, metrics=metrics)
    assert judged is not None
    ended = {"verdict": judged.verdict.value, "reason": judged.reason, "looks": 4}
    story.tell(Kind.ANALYSIS_FINISHED, CANARY, f"{story.id}:try1:finished", **about, **ended)
    statement = book.statement(story.promote())
    found = book.verify(statement)
    assert found.good, found.findings
    assert judged.verdict == "pass"
    forged = copy.deepcopy(statement)
    for look in (e for e in forged["predicate"]["events"] if e["kind"] == "analysis.measured"):
        look["data"]["metrics"][0][place] = value
    assert "the numbers give fail" in failed(book.verify(rechained(forged)))["verdicts"]
