"""A look at a time says what all looks together do, and the thousandth is no dearer than the first."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from relman_plugins.judge.comparing import Counted, State, Terms, step
from relman_plugins.judge.document import MetricData
from relman_plugins.judge.stats.evidence import EXACTLY, interval, ratio
from relman_plugins.judge.stats.paths import path_of
from relman_plugins.judge.stats.running import Running, added, said
from relman_plugins.plan.model import ComparedPlan, ComparisonPlan

ALPHA, TOLERANCE = 0.02, 0.25
arm = some.tuples(some.integers(0, 400), some.integers(0, 400)).map(lambda pair: (min(pair), max(pair)))
several = some.lists(some.tuples(arm, arm), min_size=1, max_size=12)


def running(looks: Any, limit: float | None, exact: int = 0) -> Running:
    found = Running((), exact) if exact else None
    for look in looks:
        found = added(found, look, limit=limit, tolerance=TOLERANCE, alpha=ALPHA)
    assert found is not None
    return found


@given(several, some.none() | some.sampled_from([0.05, 0.6]))
@settings(max_examples=150, deadline=None)
def test_sums_say_what_the_looks_say(looks: Any, limit: float | None) -> None:
    sides = [[list(look[n]) for look in looks] for n in (0, 1)]
    metric = MetricData(
        name="m", kind="proportion", direction="increase", control=sides[0], experiment=sides[1], max=limit
    )
    path = path_of(metric, TOLERANCE, "$")
    if path is None:
        return
    found = running(looks, limit)
    told = said(found, limit=limit, alpha=ALPHA)
    assert told.harm == pytest.approx(path.harm[-1], rel=1e-9, abs=1e-9)
    assert found.calm == bool((path.calm >= -math.log(ALPHA)).any())
    assert told.ratio == pytest.approx(ratio(path.rates))
    assert told.interval == interval(path.rates, ALPHA)


def test_the_better_bet_is_made_so_often_and_no_more() -> None:
    look = [(80, 100), (95, 100)]
    last, over = (running([look], None, exact=EXACTLY - n) for n in (1, 0))
    assert (last.exact, over.exact) == (EXACTLY, EXACTLY)
    better, plain = (said(one, limit=None, alpha=ALPHA).harm for one in (last, over))
    assert better > plain


def test_a_state_does_not_grow_with_its_looks() -> None:
    plan = ComparisonPlan(
        metrics=(ComparedPlan(name="m", bad="b", total="t", max=0.9),),
        false_alarms=ALPHA,
        tolerance=TOLERANCE,
        undecided="pass",
        early_pass=False,
    )
    terms, state, sizes = Terms(plan, ALPHA, 10_000), State(), []
    for n in range(1, 301):
        came = Counted("m", (n, 50 * n), (n, 50 * n))
        state = step(state, [came], terms=terms, run="try1").state
        sizes.append(len(pickle.dumps(state)))
    assert state.verdict is None
    assert max(sizes) < 1.05 * sizes[9]
