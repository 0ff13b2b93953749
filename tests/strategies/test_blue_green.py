"""What a blue/green change promises, whatever the numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.strategies import abort, blue_green, promoted, state_for_weight, withdrawn


def revision(version: str) -> Revision:
    return Revision(version=version, digest="sha256:" + version * 4, uri=f"file:///artifacts/{version}")


OLD, NEW = revision("1"), revision("2")
CONFIG = {"LOG_LEVEL": "info"}
replicas_of = st.integers(1, 40)


@given(replicas_of, st.booleans())
def test_all_traffic_moves_at_once_between_two_sides_of_full_size(replicas, preview):
    start = promoted(OLD, replicas, CONFIG)
    *moves, end = blue_green.desired_states(start, NEW, replicas, preview, CONFIG)
    assert [s.candidate_weight for s in moves] == ([0, 100] if preview else [100])
    for state in moves:
        assert (state.stable, state.candidate) == (OLD, NEW)
        assert state.stable_replicas == state.candidate_replicas == replicas
    assert moves[-1] == state_for_weight(OLD, NEW, 100, replicas, CONFIG)
    assert end == promoted(NEW, replicas, CONFIG)


@given(replicas_of, st.booleans(), st.data())
def test_giving_up_anywhere_ends_at_the_old_revision(replicas, preview, data):
    start = promoted(OLD, replicas, CONFIG)
    states = blue_green.desired_states(start, NEW, replicas, preview, CONFIG)
    index = data.draw(st.integers(-1, len(states) - 1))
    assert abort(start, states, index) == withdrawn(OLD, replicas, CONFIG)


@given(replicas_of, st.booleans())
def test_the_first_deploy_and_the_same_again_skip_the_preview(replicas, preview):
    elsewhere = NEW.model_copy(update={"uri": "https://elsewhere/2"})
    for current in (None, DesiredState(), promoted(elsewhere, replicas)):
        states = blue_green.desired_states(current, NEW, replicas, preview, CONFIG)
        assert states == [promoted(NEW, replicas, CONFIG)]
    assert blue_green.previewed(None, NEW, replicas, CONFIG) == promoted(NEW, replicas, CONFIG)
    assert blue_green.previewed(elsewhere, NEW, replicas, CONFIG) == promoted(NEW, replicas, CONFIG)
