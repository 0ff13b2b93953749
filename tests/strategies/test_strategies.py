"""What a strategy promises, whatever the numbers."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.state import DesiredState, ObservedRevision, ObservedState, Revision
from relman_plugins.strategies import abort, canary, promoted, recreate, rollback, state_for_weight, withdrawn


def revision(version: str) -> Revision:
    return Revision(version=version, digest="sha256:" + version * 4, uri=f"file:///artifacts/{version}")


OLD, NEW = revision("1"), revision("2")
CONFIG = {"LOG_LEVEL": "info"}
replicas_of = st.integers(1, 40)
weights_of = st.lists(st.integers(1, 100), min_size=1, max_size=8, unique=True).map(sorted)
makers = st.sampled_from([canary.desired_states, recreate.desired_states])


def observed(stable: Revision | None, replicas: int) -> ObservedState:
    seen = (
        ObservedRevision(revision=stable, replicas=replicas, ready=replicas, weight=100) if stable else None
    )
    return ObservedState(exists=stable is not None, stable=seen)


def starts(stable: Revision | None, replicas: int) -> list[DesiredState | ObservedState | None]:
    if stable is None:
        return [None, DesiredState(), observed(None, 0)]
    return [promoted(stable, replicas, CONFIG), observed(stable, replicas)]


def share_of_new(state: DesiredState) -> int:
    return 100 if state.stable == NEW else state.candidate_weight


@given(makers, replicas_of, weights_of)
def test_the_share_of_the_new_revision_never_falls_and_ends_at_all(make, replicas, weights):
    for current in starts(OLD, replicas):
        shares = [share_of_new(s) for s in make(current, NEW, replicas, weights, CONFIG)]
        assert shares == sorted(shares)
        assert shares[-1] == 100


@given(makers, replicas_of, weights_of)
def test_a_change_ends_with_the_new_revision_alone(make, replicas, weights):
    for current in [*starts(OLD, replicas), *starts(None, replicas)]:
        last = make(current, NEW, replicas, weights, CONFIG)[-1]
        assert last == promoted(NEW, replicas, CONFIG)
        assert (last.stable, last.candidate, last.stable_replicas) == (NEW, None, replicas)


@given(makers, replicas_of, weights_of, st.data())
def test_giving_up_anywhere_ends_at_the_old_revision(make, replicas, weights, data):
    for current in starts(OLD, replicas):
        states = make(current, NEW, replicas, weights, CONFIG)
        index = data.draw(st.integers(-1, len(states) - 1))
        assert abort(current, states, index) == withdrawn(OLD, replicas, CONFIG)
    for current in starts(None, replicas):
        states = make(current, NEW, replicas, weights, CONFIG)
        assert abort(current, states, len(states) - 1) == DesiredState()


@given(makers, replicas_of, weights_of)
def test_the_first_deploy_skips_the_steps(make, replicas, weights):
    for current in starts(None, replicas):
        assert make(current, NEW, replicas, weights, CONFIG) == [promoted(NEW, replicas, CONFIG)]


@given(replicas_of, weights_of)
def test_deploying_what_is_there_already_skips_the_steps(replicas, weights):
    moved = NEW.model_copy(update={"uri": "https://elsewhere/2"})
    assert canary.desired_states(promoted(moved, replicas), NEW, replicas, weights) == [
        promoted(NEW, replicas)
    ]


@given(makers, replicas_of, weights_of)
def test_whoever_has_traffic_has_replicas(make, replicas, weights):
    for state in make(promoted(OLD, replicas), NEW, replicas, weights, CONFIG):
        if state.candidate is not None:
            assert state.candidate_replicas >= max(1, ceil(replicas * state.candidate_weight / 100))
        if state.candidate_weight < 100:
            assert state.stable_replicas >= 1
        assert state.config == CONFIG


@given(replicas_of, weights_of)
def test_the_old_revision_stands_by_with_all_replicas_until_the_promotion(replicas, weights):
    *shifts, _ = canary.desired_states(promoted(OLD, replicas), NEW, replicas, weights)
    assert [s.candidate_weight for s in shifts] == weights
    assert all((s.stable, s.stable_replicas) == (OLD, replicas) for s in shifts)


@given(replicas_of, st.integers(0, 100))
def test_one_weight_is_the_state_of_the_list(replicas, weight):
    state = state_for_weight(OLD, NEW, weight, replicas, CONFIG)
    if weight == 0:
        assert state == withdrawn(OLD, replicas, CONFIG) == rollback(OLD, replicas, CONFIG)
    else:
        assert [state] == canary.desired_states(promoted(OLD, 1), NEW, replicas, [weight], CONFIG)[:-1]


def test_a_hundred_percent_is_not_yet_the_promotion():
    state = state_for_weight(OLD, NEW, 100, 2)
    assert (state.stable, state.candidate, state.candidate_weight) == (OLD, NEW, 100)


def test_small_shares_get_one_replica_and_others_round_up():
    assert [state_for_weight(OLD, NEW, w, 4).candidate_replicas for w in (1, 25, 26, 50, 100)] == [
        1,
        1,
        2,
        2,
        4,
    ]


@pytest.mark.parametrize("weights", [[], [0, 50], [50, 10], [10, 10], [50, 101]])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(ValueError, match="rising percentages"):
        canary.desired_states(None, NEW, 2, weights)


def test_out_of_range_arguments_are_refused():
    with pytest.raises(ValueError, match="from 0 to 100"):
        state_for_weight(OLD, NEW, 101, 2)
    with pytest.raises(ValueError, match="at least 1"):
        state_for_weight(OLD, NEW, 50, 0)
    with pytest.raises(IndexError, match="its own states"):
        abort(None, [promoted(NEW, 1)], 1)


@given(replicas_of, st.lists(st.integers(1, 50), min_size=1, max_size=5, unique=True).map(sorted))
def test_a_fresh_baseline_has_what_the_new_revision_has_and_goes_before_the_end(replicas, weights):
    *beside, last, end = canary.desired_states(
        promoted(OLD, replicas), NEW, replicas, [*weights, 100], baseline=True
    )
    assert all(s.baseline and s.stable_weight == 100 - 2 * s.candidate_weight for s in beside)
    assert [s.model_copy(update={"baseline": False}) for s in beside] + [last, end] == canary.desired_states(
        promoted(OLD, replicas), NEW, replicas, [*weights, 100]
    )
    assert not any(abort(None, [*beside, last, end], i).baseline for i in range(len(beside)))


def test_a_baseline_without_room_is_refused():
    with pytest.raises(ValueError, match="at most 50 %"):
        state_for_weight(OLD, NEW, 51, 2, baseline=True)
