"""Comparisons in evidence: judged again by the counts, and what somebody could write instead is found."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import DesiredState
from relman_plugins.evidence.verify import Verified
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
