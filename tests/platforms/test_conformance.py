"""What every platform does, tried on each: a sandbox, an emulated cluster, and a real one if there is one."""

from __future__ import annotations

import itertools
import time

import pytest

from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.errors import PlatformRejected, StaleToken
from relman_plugins.strategies import abort, blue_green, canary, promoted, rolling
from tests.platforms import places
from tests.platforms.living import made
from tests.platforms.places import Place

NUMBERS = itertools.count(int(time.time()))
WHERE = ["sandbox", "kubernetes", "real"]
STRATEGIES = ("canary", "blue_green", "rolling")


def pytest_generate_tests(metafunc):
    if "place" in metafunc.fixturenames:
        where = [*WHERE, "routed"] if "weight" in metafunc.fixturenames else WHERE
        if "strategy" in metafunc.fixturenames:
            # test_no_downtime walks the sandbox, with users; routers differ in what they do for a canary.
            where = ["kubernetes", "routed", "real"]
            pairs = [(place, strategy) for place in where for strategy in STRATEGIES]
            pairs += [(router, "canary") for router in places.ROUTERS if router not in where]
            metafunc.parametrize(("place", "strategy"), pairs, indirect=["place"], scope="module")
        else:
            metafunc.parametrize("place", where, indirect=True, scope="module")


@pytest.fixture(scope="module")
def place(request, tmp_path_factory):
    if request.param == "sandbox":
        shared, revisions = request.getfixturevalue("shared"), request.getfixturevalue("revisions")
        broken = made(tmp_path_factory.mktemp("broken"), "9.9.9", "raise SystemExit('no database')")
        yield Place(shared.driver, revisions["1.0.0"], revisions["1.1.0"], broken)
    elif request.param == "real":
        if not places.KUBECONFIG:
            pytest.skip("RELMAN_TEST_KUBECONFIG names no cluster")
        with places.real() as place:
            yield place
    else:
        with places.emulated(*filter(None, [places.ROUTERS.get(request.param)])) as place:
            yield place


@pytest.fixture
def environment(place):
    """An environment of the test's own, empty before and after: all share a namespace."""
    name = f"try-{next(NUMBERS)}"
    yield name
    assert not place.converge(name, token=max(1, place.observe(name).token)).exists


def test_nothing_is_there_before(place):
    seen = place.observe("nowhere")
    assert (seen.exists, seen.stable, seen.candidate, seen.url) == (False, None, None, None)


def test_a_first_deploy_runs_what_was_asked_for(place, environment):
    seen = place.converge(environment, stable=place.old, stable_replicas=2, config={"COLOUR": "blue"})
    assert (seen.exists, seen.stable.revision, seen.stable.ready, seen.stable.weight) == (
        True,
        place.old,
        2,
        100,
    )
    assert seen.config == {"COLOUR": "blue"}
    assert seen.url
    assert seen == place.observe(environment)


def test_twice_is_once(place, environment):
    wanted = {"stable": place.old, "stable_replicas": 2}
    first = place.converge(environment, **wanted)
    assert place.converge(environment, **wanted) == first


@pytest.mark.parametrize("weight", [0, 10, 50, 100])
def test_a_candidate_stands_beside_the_stable_one(place, environment, weight):
    place.converge(environment, stable=place.old, stable_replicas=2)
    wanted = DesiredState(
        stable=place.old,
        candidate=place.new,
        candidate_weight=weight,
        stable_replicas=2,
        candidate_replicas=1,
    )
    seen = place.converge(environment, **dict(wanted))
    assert seen.matches(wanted)
    assert place.observe(environment).matches(wanted)


def test_other_configuration_is_another_revision_of_the_same_version(place, environment):
    place.converge(environment, stable=place.old, stable_replicas=1, config={"A": "1"})
    seen = place.converge(environment, stable=place.old, stable_replicas=1, config={"A": "2"})
    assert (seen.stable.revision, seen.config) == (place.old, {"A": "2"})


def test_the_same_revision_may_have_both_roles(place, environment):
    seen = place.converge(
        environment,
        stable=place.old,
        candidate=place.old,
        candidate_weight=50,
        stable_replicas=1,
        candidate_replicas=1,
    )
    assert (seen.stable.weight, seen.candidate.weight) == (50, 50)


def test_a_removed_environment_is_gone_and_its_token_stays(place, environment):
    place.converge(environment, stable=place.old, stable_replicas=2, token=7)
    after = place.converge(environment, token=7)
    assert (after.exists, after.stable, after.token) == (False, None, 7)
    assert place.converge(environment, token=7) == after


def test_a_stale_token_is_refused_and_changes_nothing(place, environment):
    seen = place.converge(environment, token=9, stable=place.old, stable_replicas=1)
    with pytest.raises(StaleToken, match=r"token 8 .* is older than 9"):
        place.converge(environment, token=8)
    assert place.observe(environment) == seen


def test_a_version_that_does_not_start_is_refused_and_gets_no_traffic(place, environment):
    before = place.converge(environment, stable=place.old, stable_replicas=1)
    with pytest.raises(PlatformRejected, match="does not start"):
        place.converge(
            environment,
            stable=place.old,
            candidate=place.broken,
            stable_replicas=1,
            candidate_replicas=1,
            candidate_weight=10,
        )
    assert place.observe(environment).stable.weight == 100
    assert place.converge(environment, stable=place.old, stable_replicas=1) == before


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stable_replicas": 0}, "0 replicas"),
        ({"stable_replicas": 1, "config": {"RELMAN_VERSION": "1"}}, "RELMAN_"),
        ({"stable_replicas": 1, "candidate_replicas": 1}, "no candidate"),
    ],
)
def test_what_makes_no_sense_is_refused(place, fields, reason):
    with pytest.raises(PlatformRejected, match=reason):
        place.converge("nonsense", stable=place.old, **fields)
    assert not place.observe("nonsense").exists


def test_names_that_are_no_labels_are_refused(place):
    for name in ("..%2f..", "UPPER", "a/b"):
        with pytest.raises(PlatformRejected, match="DNS labels"):
            place.driver.observe(name, "checkout")


def walks(old: Revision, new: Revision) -> dict[str, list[DesiredState]]:
    start = promoted(old, 2)
    return {
        "canary": canary.desired_states(start, new, 2, [10, 50, 100]),
        "blue_green": blue_green.desired_states(start, new, 2),
        "rolling": rolling.desired_states(start, new, 2),
    }


def test_every_strategy_arrives_and_every_way_back_does(place, environment, strategy):
    states, start = walks(place.old, place.new)[strategy], promoted(place.old, 2)
    middle = len(states) // 2
    for desired in (start, *states[:middle], abort(start, states, middle - 1), *states):
        assert place.driver.converge(environment, "checkout", desired, token=1, timeout_s=60).matches(desired)
    assert place.observe(environment).stable.revision == place.new
