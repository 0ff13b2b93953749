"""A comparison in the background of a canary's steps: what their sum shows, and what it must not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from relman_plugins.domain.event import Event
from relman_plugins.domain.status import Verdict
from relman_plugins.judge.comparing import Judgement, State, Terms, again, carried, resumed, step
from relman_plugins.judge.counting import Counted, Pair
from relman_plugins.plan.model import ComparedPlan
from tests.judge.documents import events_of
from tests.judge.test_comparing import ERRORS, SLOW, seen, terms

Look = dict[str, tuple[Pair, Pair]]
"""What each metric's queries newly counted, of the old and of the new version."""


class Canary:
    """The steps of a canary, one after the other, and what the ledger has of them."""

    def __init__(self, steps: int, *metrics: ComparedPlan, background: bool = True, **more: Any) -> None:
        self.alone = terms(*metrics, **more)
        self.alone = self.alone._replace(false_alarms=self.alone.false_alarms / steps)
        self.background, self.recorded, self.steps = background, [], []

    recorded: list[Event]
    steps: list[str]

    def terms_at(self, name: str) -> Terms:
        """Return by what a step that has no looks yet is judged."""
        if not self.background:
            return self.alone
        before = self.steps[: self.steps.index(name)]
        own = [e for e in self.recorded if e.step == name]
        return self.alone._replace(earlier=carried(self.recorded, before, own, terms=self.alone))

    def step(self, *looks: Look) -> Judgement:
        """Take looks at one more weight, up to the one that ends it; record them, and return the last."""
        name = f"canary_{len(self.steps)}"
        self.steps.append(name)
        by, state, sums, found = self.terms_at(name), State(), {}, []
        for look in looks:
            for metric, arms in look.items():
                had = sums.get(metric, ((0, 0), (0, 0)))
                sums[metric] = tuple((a[0] + b[0], a[1] + b[1]) for a, b in zip(had, arms, strict=True))
            came = [seen(*arms, metric) for metric, arms in sums.items()]
            found.append(step(state, came, terms=by, run=name))
            state = found[-1].state
            if state.verdict:
                break
        for event in events_of(found, name):
            own = {"id": len(self.recorded) + 1, "step": name}
            self.recorded.append(event.model_copy(update=own))
        return found[-1]


def errors(old: Pair, new: Pair) -> Look:
    return {"errors": (old, new)}


WEAK = errors((3, 333), (8, 333))


def test_harm_too_small_for_each_weight_is_certain_by_their_sum() -> None:
    alone = Canary(3, planned=3, background=False)
    assert [alone.step(*[WEAK] * 3).verdict for _ in range(3)] == [Verdict.INCONCLUSIVE] * 3
    canary = Canary(3, planned=3)
    assert canary.step(*[WEAK] * 3).verdict is Verdict.INCONCLUSIVE
    found = canary.step(*[WEAK] * 3)
    assert found.verdict is Verdict.FAIL
    assert found.reason == (
        "errors: harm is certain after 3 looks and 3 at the weights before: 48 of 1998 (2.4 %) bad, of the "
        "old version 18 of 1998 (0.901 %)"
    )


def test_harm_that_begins_at_a_later_weight_is_found_by_what_that_weight_saw() -> None:
    """Good weights before would have cost somebody who bet on harm since then nearly all that they had."""
    good, bad = errors((30, 3000), (30, 3000)), errors((3, 300), (12, 300))
    found = []
    for background in (False, True):
        canary = Canary(3, planned=5, background=background)
        for _ in range(2):
            canary.step(*[good] * 5)
        found.append(canary.step(*[bad] * 5))
    assert [one.verdict for one in found] == [Verdict.FAIL] * 2
    assert found[0].state.rounds == found[1].state.rounds
    assert "at the weights before" not in found[1].reason


counts = some.tuples(some.integers(0, 60), some.integers(0, 60))
one_look = some.tuples(counts, counts).map(
    lambda arms: errors(*((min(pair), 10 * max(pair)) for pair in arms))
)


@given(some.lists(some.lists(one_look, min_size=3, max_size=3), min_size=2, max_size=4), some.booleans())
@settings(max_examples=60, deadline=None)
def test_what_a_weight_finds_by_itself_it_finds_no_later(steps: list[list[Look]], limited: bool) -> None:
    metric = ERRORS.model_copy(update={"max": 0.3 if limited else None})
    pair = [Canary(len(steps), metric, planned=9, background=b) for b in (False, True)]
    for looks in steps:
        alone, together = (canary.step(*looks) for canary in pair)
        if together.verdict is Verdict.FAIL:
            assert alone.verdict is None or together.state.rounds <= alone.state.rounds
            break
        assert alone.verdict is not Verdict.FAIL
        assert together.state == alone.state


def test_good_versions_fail_no_more_often_than_was_said_over_the_whole_canary() -> None:
    """Two metrics, 4 weights of 4 looks, 120 canaries, a rate that drifts: of 20 % no more than that."""
    dice, failed = random.Random(11), 0
    for _ in range(120):
        canary = Canary(4, ERRORS, SLOW, planned=4, false_alarms=0.2)
        for weight in (5, 10, 25, 50):
            looks = []
            for _ in range(4):
                rate = dice.choice((0.02, 0.1, 0.3))
                parts = [sum(dice.random() < rate for _ in range(n)) for n in (100 - weight, weight) * 2]
                pairs = [(bad, n) for bad, n in zip(parts, (100 - weight, weight) * 2, strict=True)]
                looks.append({"errors": (pairs[0], pairs[1]), "slow": (pairs[2], pairs[3])})
            if canary.step(*looks).verdict is Verdict.FAIL:
                failed += 1
                break
    # 3 with this seed, of 24 that may; with a chance of 20 % for each weight it would be 21.
    assert failed <= 8


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([errors((0, 0), (0, 0))], "no requests of the new and old version were counted"),
        ([errors((0, 200), (0, 9))], "the new version had 18 requests, at least 50 are needed"),
    ],
)
def test_each_weight_earns_its_own_pass(looks: list[Look], said: str) -> None:
    """What was good at a smaller weight says nothing of a larger one that nobody used."""
    canary = Canary(2, planned=2, undecided="pass", early_pass=True)
    assert canary.step(errors((4000, 9000), (4000, 9000))).verdict is Verdict.PASS
    found = canary.step(*looks * 2)
    assert (found.verdict, said in found.reason) == (Verdict.NO_DATA, True), found.reason


def test_no_harm_at_a_smaller_weight_is_no_early_pass_at_a_larger_one() -> None:
    canary = Canary(2, planned=2, undecided="pass", early_pass=True)
    assert canary.step(errors((4000, 9000), (4000, 9000))).state.rounds == 1
    found = canary.step(*[errors((40, 90), (40, 90))] * 2)
    assert (found.verdict, found.state.rounds) == (Verdict.PASS, 2)
    assert found.reason.startswith("errors: no harm found in 2 looks: 80 of 180")


def test_a_limit_is_held_against_the_sum_too_where_the_old_version_gives_no_numbers() -> None:
    canary = Canary(2, ERRORS.model_copy(update={"max": 0.05}), planned=2)
    some_bad = errors((0, 0), (12, 100))
    assert canary.step(some_bad).verdict is None
    found = canary.step(some_bad)
    assert found.verdict is Verdict.FAIL
    assert found.reason.endswith("24 of 200 (12 %) bad, of the old version none; at most 0.05 is allowed")


def test_a_look_that_comes_late_changes_nothing_of_what_was_judged() -> None:
    """A spool delivers a look of the weight before when this one has begun."""
    canary = Canary(3, planned=3)
    canary.step(*[WEAK] * 2)
    found = canary.step(*[WEAK] * 2)
    first, *rest = canary.recorded
    much = first.data["metrics"][0] | {"control": [9, 999], "experiment": [600, 999]}
    late = first.model_copy(update={"id": 99, "data": {"look": 3, "metrics": [much]}})
    canary.recorded.append(late)
    own = [e for e in rest if e.step == canary.steps[1]]
    state = resumed(own, terms=canary.terms_at(canary.steps[1]))
    assert state == found.state


def test_a_look_at_a_held_release_is_never_the_last_and_the_one_after_may_be() -> None:
    by = terms(planned=2, undecided="pass", early_pass=True)
    state, found = State(), []
    for n, held in enumerate((True, True, True, False), start=1):
        sums = [seen((400 * n, 900 * n), (400 * n, 900 * n))]
        found.append(step(state, sums, terms=by._replace(held=held), run="try1"))
        state = found[-1].state
    assert [one.verdict for one in found] == [None, None, None, Verdict.PASS]
    recorded = events_of(found, "try1")
    for event, one in zip(recorded, found, strict=True):
        event.data.update({"held": True} if one.state.held else {})
    assert [judgement for _, judgement in again(recorded, terms=by)] == found
    assert again_without(recorded, by)[0].verdict is Verdict.PASS


def test_numbers_that_stay_away_do_not_end_a_watch_while_the_release_is_held() -> None:
    by, state, verdicts = terms(planned=20), State(), []
    for held in (True,) * 6 + (False,):
        found = step(state, [Counted("errors", error="away")], terms=by._replace(held=held), run="try1")
        state, verdicts = found.state, [*verdicts, found.verdict]
    assert verdicts == [None] * 6 + [Verdict.ERROR]


def again_without(recorded: list[Event], by: Terms) -> list[Judgement]:
    """Judge looks as if nobody had held the release."""
    free = [e.model_copy(update={"data": {k: v for k, v in e.data.items() if k != "held"}}) for e in recorded]
    return [judgement for _, judgement in again(free, terms=by)]
