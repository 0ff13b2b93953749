"""Anything may be killed at any moment; the sandbox carries on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading

import pytest

from relman_plugins.errors import PlatformRejected, StaleToken
from tests.platforms.living import COMMAND, call
from tests.waiting import eventually


def canary(daemon, revisions, weight=20):
    old, new = revisions["1.0.0"], revisions["1.1.0"]
    daemon.converge("production", token=3, stable=old, stable_replicas=2)
    return daemon.converge(
        "production",
        token=3,
        stable=old,
        candidate=new,
        candidate_weight=weight,
        stable_replicas=2,
        candidate_replicas=1,
    )


def test_a_killed_daemon_is_followed_by_one_that_takes_over(daemon, revisions):
    before = canary(daemon, revisions)
    processes = daemon.replicas().keys()
    daemon.served(before.url, 25)
    stop, statuses = threading.Event(), []

    def traffic():
        while not stop.is_set():
            try:
                statuses.append(call(before.url + "/healthz")[0])
            except OSError:
                statuses.append(0)

    thread = threading.Thread(target=traffic)
    thread.start()
    eventually(lambda: len(statuses) > 20, "traffic flows")
    daemon.kill()
    eventually(lambda: 0 in statuses, "traffic notices that the daemon is dead")
    assert daemon.replicas().keys() == processes
    urls = daemon.urls
    daemon.start()
    assert daemon.observe("production") == before
    resumed = len(statuses)
    eventually(lambda: len(statuses) > resumed + 20, "traffic flows again")
    stop.set()
    thread.join()
    assert set(statuses[resumed + 1 :]) == {200}
    assert daemon.replicas().keys() == processes
    assert {k: v for k, v in daemon.urls.items() if k != "pid"} == {
        k: v for k, v in urls.items() if k != "pid"
    }
    assert daemon.served(before.url, 25)["1.1.0"] == 5


def test_nothing_that_was_counted_is_lost(daemon, revisions):
    url = canary(daemon, revisions).url
    daemon.served(url, 50)
    daemon.kill()
    daemon.start()
    metrics = call(daemon.urls["metrics_url"] + "/metrics")[1]
    labels = 'code="200",environment="production",service="checkout"'
    assert f'relman_requests_total{{{labels},version="1.0.0"}} 40\n' in metrics
    assert f'relman_requests_total{{{labels},version="1.1.0"}} 10\n' in metrics


def test_a_stale_token_stays_stale(daemon, revisions):
    before = canary(daemon, revisions)
    daemon.kill()
    daemon.start()
    with pytest.raises(StaleToken):
        daemon.converge("production", token=2, stable=revisions["1.0.0"], stable_replicas=2)
    assert daemon.observe("production") == before
    daemon.converge("production", token=3)
    with pytest.raises(StaleToken):
        daemon.converge("production", token=2, stable=revisions["1.0.0"], stable_replicas=2)


def test_a_token_that_came_with_a_refused_state_stays_known(daemon, revisions):
    stable = {"stable": revisions["1.0.0"], "stable_replicas": 1}
    with pytest.raises(PlatformRejected):
        daemon.converge("production", token=7, **stable, config={"RELMAN_X": "1"})
    daemon.kill()
    daemon.start()
    with pytest.raises(StaleToken):
        daemon.converge("production", token=6, **stable)


def test_a_killed_replica_comes_back(daemon, revisions):
    url = canary(daemon, revisions).url
    victim, env = next((p, e) for p, e in daemon.replicas().items() if e["RELMAN_VERSION"] == "1.1.0")
    os.kill(victim, signal.SIGKILL)

    def again():
        return [e for p, e in daemon.replicas().items() if e["RELMAN_VERSION"] == "1.1.0" and p != victim]

    eventually(again, "another process")
    eventually(lambda: daemon.observe("production").candidate.ready == 1, "back")
    assert [e["RELMAN_REPLICA"] for e in again()] == [env["RELMAN_REPLICA"]]
    assert daemon.served(url, 10) == {"1.0.0": 8, "1.1.0": 2}


def test_a_replica_killed_while_no_daemon_ran_comes_back(daemon, revisions):
    before = canary(daemon, revisions)
    victim = next(iter(daemon.replicas()))
    daemon.kill()
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in daemon.replicas(), "the replica is dead")
    daemon.start()
    eventually(lambda: daemon.observe("production") == before, "all replicas are ready again")
    assert len(daemon.replicas()) == 3


def test_a_replica_without_a_memory_is_ended(daemon, revisions):
    canary(daemon, revisions)
    daemon.kill()
    state = json.loads((daemon.home / "state.json").read_text())
    forgotten = state["services"][0]["slots"][0]["replicas"][0]
    pid, forgotten["pid"] = forgotten["pid"], None
    (daemon.home / "state.json").write_text(json.dumps(state))
    daemon.start()
    eventually(lambda: daemon.observe("production").stable.ready == 2, "two replicas")
    assert pid not in daemon.replicas()
    assert len(daemon.replicas()) == 3


def test_a_daemon_killed_while_it_removes_goes_on_removing(daemon, revisions):
    canary(daemon, revisions)
    daemon.kill()
    state = json.loads((daemon.home / "state.json").read_text())
    state["services"][0]["desired"] = {}
    (daemon.home / "state.json").write_text(json.dumps(state))
    daemon.start()
    eventually(lambda: not daemon.observe("production").exists, "the environment is gone")
    assert not daemon.replicas()
    assert not (daemon.home / "environments" / "production").exists()


def test_told_to_stop_it_leaves_nothing_running_and_forgets_nothing(daemon, revisions):
    before = canary(daemon, revisions)
    assert daemon.terminate() == 0
    assert not daemon.replicas()
    daemon.start()
    eventually(lambda: daemon.observe("production") == before, "everything runs again")


def test_stop_all_needs_no_daemon(daemon, revisions):
    canary(daemon, revisions)
    daemon.kill()
    command = [*COMMAND, "--home", str(daemon.home), "--stop-all"]
    assert "ended 3 processes" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert not daemon.replicas()
    assert "ended 0 processes" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_two_daemons_do_not_share_a_home(daemon):
    second = subprocess.run(
        [*COMMAND, "--home", str(daemon.home)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 3
    assert "another sandbox daemon already runs" in second.stderr


def test_a_damaged_state_is_not_guessed_at(daemon):
    daemon.kill()
    (daemon.home / "state.json").write_text("{")
    second = subprocess.run(
        [*COMMAND, "--home", str(daemon.home)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 3
    assert "--stop-all" in second.stderr
    (daemon.home / "state.json").unlink()
