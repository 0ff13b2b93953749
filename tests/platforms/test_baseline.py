"""A fresh baseline: as many replicas of the old version as the new one has, with as much traffic, apart."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psutil

from relman_plugins.domain.state import DesiredState, ObservedState
from relman_plugins.platforms.base import Baselines
from relman_plugins.strategies import abort, canary, promoted
from tests.platforms.living import Daemon
from tests.waiting import eventually


def arms(daemon: Daemon, environment: str) -> dict[tuple[str, str], set[int]]:
    """Processes by version and track."""
    found: dict[tuple[str, str], set[int]] = {}
    for pid, env in daemon.replicas(environment).items():
        found.setdefault((env["RELMAN_VERSION"], env["RELMAN_TRACK"]), set()).add(pid)
    return found


def counted(daemon: Daemon, environment: str) -> dict[tuple[str, str], int]:
    """Requests that were answered well, by version and track, as Prometheus would scrape them."""
    query = f'relman_requests_total{{environment="{environment}",code="200"}}'
    found = {}
    for series in daemon.query(query)["data"]["result"]:
        labels = series["metric"]
        found[labels["version"], labels.get("track", "")] = int(float(series["value"][1]))
    return found


def walk(daemon: Daemon, environment: str, desired: DesiredState) -> ObservedState:
    return daemon.converge(environment, **dict(desired))


def test_it_runs_beside_the_new_version_for_as_long_as_that_is_compared(
    shared: Daemon, revisions: dict[str, Any]
) -> None:
    start, new = promoted(revisions["1.0.0"], 3), revisions["1.1.0"]
    told = {("1.0.0", ""): 16, ("1.0.0", "baseline"): 2, ("1.1.0", ""): 2}
    assert isinstance(shared.driver, Baselines)
    url = walk(shared, "beside", start).url
    old = arms(shared, "beside")["1.0.0", ""]
    for state in canary.desired_states(start, new, 3, [10, 50, 100], baseline=True):
        seen = walk(shared, "beside", state)
        assert seen.matches(state)
        now = arms(shared, "beside")
        if state.stable == start.stable:
            assert now["1.0.0", ""] == old
        if state.candidate_weight in (10, 50):
            assert len(now["1.0.0", "baseline"]) == len(now["1.1.0", ""]) == state.candidate_replicas
            assert seen.baseline is not None
            assert (seen.baseline.revision, seen.baseline.weight) == (start.stable, state.candidate_weight)
        else:
            assert seen.baseline is None
            eventually(lambda: ("1.0.0", "baseline") not in arms(shared, "beside"), "the baseline is gone")
        if state.candidate_weight == 10:
            shared.served(str(url), 20)
            eventually(lambda: counted(shared, "beside") == told, "each is counted apart")
            assert shared.counted("beside") == {"1.0.0": 18, "1.1.0": 2}


def test_it_outlives_a_killed_daemon_and_not_the_way_back(daemon: Daemon, revisions: dict[str, Any]) -> None:
    start = promoted(revisions["1.0.0"], 1)
    states = canary.desired_states(start, revisions["1.1.0"], 1, [20, 100], baseline=True)
    walk(daemon, "production", start)
    before, processes = walk(daemon, "production", states[0]), arms(daemon, "production")
    daemon.kill()
    daemon.start()
    assert daemon.observe("production") == before
    assert walk(daemon, "production", states[0]) == before
    assert arms(daemon, "production") == processes
    back = walk(daemon, "production", abort(start, states, 0))
    assert back.matches(start)
    eventually(
        lambda: arms(daemon, "production") == {("1.0.0", ""): processes["1.0.0", ""]},
        "only the old one is left",
    )


def test_one_whose_process_ends_starts_again_and_the_old_version_is_no_stand_in(
    daemon: Daemon, revisions: dict[str, Any]
) -> None:
    start = promoted(revisions["1.0.0"], 1)
    state, *_ = canary.desired_states(start, revisions["1.1.0"], 1, [50, 100], baseline=True)
    walk(daemon, "production", start)
    seen = walk(daemon, "production", state)
    (pid,) = arms(daemon, "production")["1.0.0", "baseline"]
    psutil.Process(pid).kill()
    eventually(
        lambda: arms(daemon, "production").get(("1.0.0", "baseline"), {pid}) != {pid}, "it is started again"
    )
    eventually(lambda: daemon.observe("production") == seen, "it serves again")
    assert Counter(daemon.served(str(seen.url), 10)) == {"1.0.0": 5, "1.1.0": 5}
    assert daemon.counted("production")["1.1.0"] == 5
