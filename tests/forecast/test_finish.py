"""When a release will be done: ranges that hold, that shrink as it goes, and that know of windows."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.forecasts import HIGH, LOW, NOON, Cell, hits, play, shape_of, truth
from relman_plugins.calendars.series import Span
from relman_plugins.forecast.belief import believe
from relman_plugins.forecast.finish import Forecast, Frost, Known, Openings, forecast
from relman_plugins.plan.model import Shape, Step, StepKind

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def plan(*steps: Step) -> Shape:
    about = dict.fromkeys(("pipeline", "owner", "description", "service", "spec_digest"), "p")
    return Shape(**about, steps=steps, environments=())


BUILD = Step(id="build", kind=StepKind.BUILD)
ASK = Step(id="live.approval", kind=StepKind.APPROVAL, stage="live", needs=("build",))
WINDOW = Step(id="live.window", kind=StepKind.WINDOW, stage="live", needs=("live.approval",))
DEPLOY = Step(
    id="live.deploy",
    kind=StepKind.DEPLOY,
    stage="live",
    environment="live",
    needs=("live.window",),
    changes=True,
)
RELEASE = plan(BUILD, ASK, WINDOW, DEPLOY)


def known(**more: object) -> Known:
    took = {
        "build": (60.0, 61.0, 62.0, 59.0, 60.0),
        "live.approval": (1800.0, 1700.0, 1900.0, 1750.0, 1850.0),
        "live.deploy": (30.0, 31.0, 32.0, 29.0, 30.0),
    }
    return Known.model_validate({"opened_at": NOON, "ended": {}, "took": took, "releases": 5} | more)


def said(known: Known, now: datetime = NOON, shape: Shape = RELEASE) -> Forecast:
    return forecast(shape, known, now, seed="a", minimum_s=0.0)


@pytest.mark.parametrize(
    "cell",
    [
        Cell(5),
        Cell(2, pipeline="single"),
        Cell(0, pipeline="many"),
        Cell(10, "overnight", "windows"),
        Cell(30, drift="slower"),
    ],
    ids=str,
)
def test_ranges_hold_what_they_promise(cell: Cell) -> None:
    within, by_p90 = hits(cell, runs=100, seed=7, draws=100)
    assert LOW <= within <= HIGH
    assert by_p90 >= 0.75, "less where each release takes longer than the one before"


@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
@settings(deadline=None, max_examples=25)
def test_a_range_is_in_order_in_the_future_and_the_same_each_time(seed: int, share: float) -> None:
    chance = random.Random(seed)
    shape = shape_of(chance)
    spreads = truth(shape, "log-normal", chance)
    ends = play(shape, spreads, chance)
    now = NOON + (max(ends.values()) - NOON) * share
    it = Known(opened_at=NOON, ended={id_: at for id_, at in ends.items() if at <= now})
    found = forecast(shape, it, now, seed="x", draws=40)
    assert found == forecast(shape, it, now, seed="x", draws=40)
    assert now.replace(microsecond=0) <= found.p05 <= found.p50 <= found.p90 <= found.p95
    assert all(found.p50 >= stage.p50 and found.p90 >= stage.p90 for stage in found.stages)
    assert all(0 < one.share <= 1 and one.seconds >= 0 for one in found.critical)


@given(times=st.lists(st.floats(1, 1e6), max_size=30))
def test_a_belief_is_of_numbers_whatever_was_seen(times: list[float]) -> None:
    found = believe(RELEASE, ASK, times, 8.0)
    assert found.scale > 0
    assert found.draw(random.Random(1), 50.0) >= 50.0


def test_people_are_the_longest_wait_and_what_has_ended_is_none() -> None:
    found = said(known())
    assert found.critical[0].step == "live.approval"
    assert abs(found.p50 - (NOON + 31.5 * MINUTE)) < 5 * MINUTE
    later = NOON + 40 * MINUTE
    ended = {"build": NOON + MINUTE, "live.approval": later, "live.window": later}
    found = said(known(ended=ended), later)
    assert [one.step for one in found.critical] == ["live.deploy"]
    assert found.p90 - later < 2 * MINUTE


def test_the_longer_an_answer_is_waited_for_the_later_it_is_expected() -> None:
    ended = {"build": NOON + MINUTE}
    early, late = (said(known(ended=ended), NOON + n * HOUR) for n in (0.1, 5))
    assert early.p50 < NOON + HOUR
    assert late.p50 > NOON + 5 * HOUR


def test_few_releases_give_a_wide_range_and_many_a_narrow_one() -> None:
    few, many = (
        said(known(took={step: times[:1] * n for step, times in known().took.items()})) for n in (1, 30)
    )
    assert few.p95 - few.p05 > 2 * (many.p95 - many.p05)
    assert said(known(took={})).guessed == ("build", "live.approval", "live.deploy")


def test_a_closed_window_is_waited_for_and_a_change_must_fit_into_its_opening() -> None:
    closed = (Span(NOON, NOON + 2 * HOUR), Span(NOON + 3 * HOUR, NOON + 8 * HOUR))
    it = known(openings={"live.window": Openings(closed=closed)})
    assert NOON + 2 * HOUR < said(it).p50 < NOON + 3 * HOUR
    it = known(openings={"live.window": Openings(closed=closed, need_s=2 * 3600.0)})
    assert said(it).p05 > NOON + 8 * HOUR


@given(
    spans=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), max_size=6),
    at=st.integers(0, 300),
    need=st.integers(0, 40),
)
def test_the_next_opening_is_that_of_brute_force(spans: list[tuple[int, int]], at: int, need: int) -> None:
    closed, end = [], 0
    for gap, length in spans:
        closed.append(Span(NOON + (end + gap) * MINUTE, NOON + (end + gap + length) * MINUTE))
        end += gap + length
    found = Openings(closed=tuple(closed), need_s=need * 60.0).next(NOON + at * MINUTE)

    def fits(minute: int) -> bool:
        begins, ends = NOON + minute * MINUTE, NOON + (minute + need) * MINUTE
        return all(ends <= s.start or begins >= s.end for s in closed) and not any(
            s.start <= begins < s.end for s in closed
        )

    assert found == NOON + next(m for m in range(at, at + 700) if fits(m)) * MINUTE


def test_an_answer_that_comes_too_late_for_the_opening_is_told() -> None:
    ended = {"build": NOON + MINUTE}
    closed = (Span(NOON + 20 * MINUTE, NOON + 18 * HOUR),)
    it = known(ended=ended, openings={"live.window": Openings(closed=closed)})
    (late,) = said(it, NOON + 5 * MINUTE).late
    assert (late.gate, late.window, late.closes_at) == ("live.approval", "live.window", closed[0].start)
    assert late.chance > 0.8
    roomy = (Span(NOON + 5 * HOUR, NOON + 18 * HOUR),)
    it = known(ended=ended, openings={"live.window": Openings(closed=roomy)})
    assert said(it, NOON + 5 * MINUTE).late == ()


def test_a_freeze_that_ends_by_itself_is_waited_for() -> None:
    frost = Frost(until=NOON + 6 * HOUR)
    found = said(known(frozen={"live.deploy": frost}))
    assert NOON + 6 * HOUR < found.p50 < NOON + 6 * HOUR + 5 * MINUTE
    found = said(known(frozen={"live.deploy": frost.model_copy(update={"at_end": True})}))
    assert found.p50 == found.p05 == NOON + 6 * HOUR, "its work is done by then"
