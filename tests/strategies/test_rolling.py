"""What a rolling change promises, whatever the numbers and whatever order a platform works in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relman_plugins.domain.bounds import rolling_bounds
from relman_plugins.domain.state import DesiredState, ObservedRevision, ObservedState, Revision
from relman_plugins.strategies import abort, promoted, rolling, withdrawn


def revision(version: str) -> Revision:
    return Revision(version=version, digest="sha256:" + version * 4, uri=f"file:///artifacts/{version}")


OLD, NEW = revision("1"), revision("2")
CONFIG = {"LOG_LEVEL": "info"}
percents = st.integers(0, 100).map(lambda p: f"{p}%")
bounds_of = st.one_of(st.integers(0, 12), percents)


@st.composite
def changes(draw: st.DrawFn) -> tuple[int, int | str, int | str]:
    """Draw replicas and bounds that let something move."""
    replicas, surge, unavailable = draw(st.integers(1, 25)), draw(bounds_of), draw(bounds_of)
    try:
        rolling_bounds(surge, unavailable, replicas)
    except ValueError:
        assume(False)
    return replicas, surge, unavailable


def counts(state: DesiredState) -> tuple[int, int]:
    """Return the replicas of the old and of the new revision."""
    if state.candidate is None and state.stable == NEW:
        return 0, state.stable_replicas
    return state.stable_replicas, state.candidate_replicas


def shares(state: DesiredState) -> int:
    return 100 if state.stable == NEW else state.candidate_weight


@given(changes())
def test_in_any_order_of_work_capacity_stays_and_replicas_stay_bounded(change):
    replicas, surge, unavailable = change
    more, fewer = rolling_bounds(surge, unavailable, replicas)
    start = promoted(OLD, replicas, CONFIG)
    states = [start, *rolling.desired_states(start, NEW, replicas, surge, unavailable, CONFIG)]
    for before, after in pairwise(counts(s) for s in states):
        assert min(before[0], after[0]) + min(before[1], after[1]) >= replicas - fewer
        assert max(before[0], after[0]) + max(before[1], after[1]) <= replicas + more
        assert before != after


@given(changes(), st.integers(1, 40))
def test_an_environment_of_another_size_comes_to_the_bounds_and_does_not_leave_them(change, there):
    replicas, surge, unavailable = change
    more, fewer = rolling_bounds(surge, unavailable, replicas)
    states = rolling.desired_states(promoted(OLD, there), NEW, replicas, surge, unavailable)
    for before, after in pairwise([(there, 0), *map(counts, states)]):
        least = min(before[0], after[0]) + min(before[1], after[1])
        most = max(before[0], after[0]) + max(before[1], after[1])
        assert least >= min(there, replicas - fewer)
        assert most <= max(there, replicas + more)


@given(changes())
def test_both_sides_only_move_one_way_and_it_ends_at_the_new_revision_alone(change):
    replicas, surge, unavailable = change
    states = rolling.desired_states(promoted(OLD, replicas), NEW, replicas, surge, unavailable, CONFIG)
    old, fresh = zip(*map(counts, states), strict=True)
    assert list(old) == sorted(old, reverse=True)
    assert list(fresh) == sorted(fresh)
    assert [shares(s) for s in states] == sorted(shares(s) for s in states)
    assert states[-1] == promoted(NEW, replicas, CONFIG)
    assert all(s.config == CONFIG for s in states)


@given(changes())
def test_the_traffic_follows_the_replicas_and_goes_nowhere_without_them(change):
    replicas, surge, unavailable = change
    for state in rolling.desired_states(promoted(OLD, replicas), NEW, replicas, surge, unavailable)[:-1]:
        old, fresh = counts(state)
        assert (state.stable, state.candidate) == (OLD, NEW)
        assert (state.candidate_weight > 0) == (fresh > 0)
        assert (state.candidate_weight < 100) == (old > 0)
        assert abs(state.candidate_weight - 100 * fresh / (old + fresh)) <= 1


@given(changes(), st.data())
def test_an_interrupted_change_goes_on_as_if_nothing_had_been(change, data):
    replicas, surge, unavailable = change
    states = rolling.desired_states(promoted(OLD, replicas), NEW, replicas, surge, unavailable, CONFIG)
    index = data.draw(st.integers(0, len(states) - 1))
    again = rolling.desired_states(states[index], NEW, replicas, surge, unavailable, CONFIG)
    assert again == (states[index + 1 :] or [states[-1]])


@given(changes(), st.data())
def test_giving_up_anywhere_ends_at_the_old_revision(change, data):
    replicas, surge, unavailable = change
    start = promoted(OLD, replicas, CONFIG)
    states = rolling.desired_states(start, NEW, replicas, surge, unavailable, CONFIG)
    index = data.draw(st.integers(-1, len(states) - 1))
    assert abort(start, states, index) == withdrawn(OLD, replicas, CONFIG)


@given(changes())
def test_the_first_deploy_and_the_same_again_skip_the_waves(change):
    replicas, surge, unavailable = change
    elsewhere = NEW.model_copy(update={"uri": "https://elsewhere/2"})
    for current in (None, DesiredState(), ObservedState(exists=False), promoted(elsewhere, replicas)):
        states = rolling.desired_states(current, NEW, replicas, surge, unavailable, CONFIG)
        assert states == [promoted(NEW, replicas, CONFIG)]


def test_what_is_observed_counts_like_what_was_asked_for():
    def seen(revision: Revision, replicas: int, weight: int) -> ObservedRevision:
        return ObservedRevision(revision=revision, replicas=replicas, ready=replicas, weight=weight)

    half = ObservedState(stable=seen(OLD, 1, 50), candidate=seen(NEW, 1, 50))
    strange = ObservedState(stable=seen(OLD, 2, 90), candidate=seen(revision("3"), 1, 10))
    assert [counts(s) for s in rolling.desired_states(half, NEW, 2)] == [(1, 2), (0, 2)]
    assert counts(rolling.desired_states(strange, NEW, 2)[0]) == (2, 1)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "waves"),
    [
        (2, 1, 0, [(2, 1), (1, 1), (1, 2), (0, 2)]),
        (2, 0, 1, [(1, 0), (1, 1), (0, 1), (0, 2)]),
        (4, 1, 1, [(3, 1), (2, 2), (1, 3), (0, 4)]),
        (4, "100%", 0, [(4, 4), (0, 4)]),
        (4, "25%", "25%", [(3, 1), (2, 2), (1, 3), (0, 4)]),
        (3, "1%", "34%", [(2, 1), (1, 2), (0, 3)]),
    ],
)
def test_the_waves_of_small_numbers(replicas, surge, unavailable, waves):
    states = rolling.desired_states(promoted(OLD, replicas), NEW, replicas, surge, unavailable)
    assert [counts(s) for s in states] == waves


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "said"),
    [
        (2, 0, 0, "let no replica move"),
        (2, "0%", "49%", "let no replica move"),
        (1, 0, 1, "leaves nobody to serve"),
        (3, 1, "100%", "leaves nobody to serve"),
        (3, "101%", 0, "from 0% to 100%"),
        (3, -1, 0, "at least 0"),
        (0, 1, 0, "at least 1"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(replicas, surge, unavailable, said):
    with pytest.raises(ValueError, match=said):
        rolling.desired_states(promoted(OLD, 1), NEW, replicas, surge, unavailable)
