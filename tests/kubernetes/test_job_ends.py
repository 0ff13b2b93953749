"""How suites in an emulated cluster end: what a pod does between the end of its command and its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from relman_plugins.domain.suite_job import JobLook, SuiteJob
from relman_plugins.platforms.base import Jobs
from relman_plugins.platforms.kubernetes.job_object import GRACE_S, START_S
from relman_plugins.testing.kube import Cluster
from relman_plugins.testing.kube.resources import BY_KIND, Obj
from tests.kubernetes.suites import IMAGE, REPORT, driver_jobs, ended, job, pod_of
from tests.platforms.places import NAMESPACE
from tests.waiting import eventually

PATIENCE_S = 10.0
"""With a process that is to end."""


@pytest.fixture
def door(tmp_path: Path) -> Path:
    """What a process reads to its end when something is written into it, and not earlier."""
    made = tmp_path / "door"
    os.mkfifo(made)
    return made


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Path:
    """A mesh's proxy is in every pod as an ordinary container; it ends when this is written into."""
    made = tmp_path / "proxy"
    os.mkfifo(made)
    cluster.faults.injected.append(
        {"name": "istio-proxy", "image": "mesh/proxy", "command": ["cat", str(made)]}
    )
    return made


def state_of(cluster: Cluster, one: SuiteJob, state: str) -> Any:
    """Wait for a state of the command's container, and return what is said of it."""

    def found() -> Any:
        statuses = (pod_of(cluster, one).get("status") or {}).get("containerStatuses") or [{}]
        return (statuses[0].get("state") or {}).get(state)

    return eventually(found, f"{one.name} {state}")


def test_what_has_ended_is_not_taken_for_what_never_started(
    jobs: Jobs, cluster: Cluster, door: Path, proxy: Path, tmp_path: Path
) -> None:
    one = job(f"{REPORT}\nopen({str(door)!r}).read()\nraise SystemExit(3)", timeout_s=3600.0)
    with time_machine.travel(datetime.now(UTC) - timedelta(seconds=START_S + 60)):
        jobs.start(one)
        state_of(cluster, one, "running")
    door.write_text("")
    state_of(cluster, one, "terminated")
    assert pod_of(cluster, one)["status"]["phase"] == "Running"
    assert jobs.look(one.name, one.timeout_s) == JobLook()
    proxy.write_text("")
    found = ended(jobs, one)
    assert (found.code, found.stopped) == (3, "")
    assert jobs.reports(one, tmp_path) == ""


def test_a_container_that_runs_on_when_the_command_has_ended_is_named(
    jobs: Jobs, cluster: Cluster, proxy: Path
) -> None:
    one = job()
    jobs.start(one)
    over = datetime.fromisoformat(state_of(cluster, one, "terminated")["finishedAt"])

    def look(after_s: float) -> JobLook | None:
        with time_machine.travel(over + timedelta(seconds=after_s), tick=False):
            return jobs.look(one.name, one.timeout_s)

    assert look(2 * GRACE_S) == JobLook()
    found = look(2 * GRACE_S + 1)
    assert found is not None
    assert found.hopeless
    assert found.said.startswith("the command ended, but container istio-proxy runs on: only native sidecars")


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"running": {}}, "the command ended, but container collector runs on"),
        ({"terminated": {"exitCode": 0}}, "the command ended, but its pod does not end"),
    ],
)
def test_a_pod_that_does_not_end_is_not_waited_for_without_end(
    jobs: Jobs, cluster: Cluster, states: Obj, said: str
) -> None:
    cluster.image(IMAGE, "hold")
    one = job()
    jobs.start(one)
    over = datetime.now(UTC) - timedelta(seconds=2 * GRACE_S + 10)
    status = {
        "phase": "Running",
        "containerStatuses": [
            {"name": "suite", "state": {"terminated": {"exitCode": 0, "finishedAt": over.isoformat()}}}
        ],
        "initContainerStatuses": [{"name": "collector", "state": states}],
    }
    cluster.store.put(BY_KIND["Pod"], pod_of(cluster, one) | {"status": status}, status=True)
    assert jobs.look(one.name, one.timeout_s) == JobLook(hopeless=True, said=said)


@pytest.mark.parametrize(("code", "condition"), [(0, "Complete"), (3, "Failed")])
def test_a_stop_that_comes_too_late_takes_nothing_away(
    jobs: Jobs, cluster: Cluster, code: int, condition: str, tmp_path: Path
) -> None:
    one = job(f"{REPORT}\nraise SystemExit({code})")
    ended(jobs, one)

    def over() -> bool:
        live = cluster.store.find("Job", NAMESPACE, one.name) or {}
        return condition in [c["type"] for c in (live.get("status") or {}).get("conditions") or []]

    eventually(over, "the Job's own end")
    jobs.stop(one.name, "took longer than 60 s and was stopped")
    found = ended(jobs, one)
    assert (found.code, found.stopped) == (code, "")
    assert jobs.reports(one, tmp_path) == ""


@pytest.mark.parametrize(
    ("how", "meanwhile", "afterwards"),
    [
        ("stop", r"is stopped \(enough\); pod .* has not ended yet", "enough"),
        ("lose", r"is stopped \(enough\); pod .* has not ended yet", "enough"),
        ("expire", r"has ended \(DeadlineExceeded\); pod .* has not yet", "took longer than 60 s and was"),
    ],
)
def test_nothing_has_ended_as_long_as_its_pod_may_run(
    jobs: Jobs, cluster: Cluster, door: Path, how: str, meanwhile: str, afterwards: str
) -> None:
    one = job(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"print('ready', flush=True); open({str(door)!r}).read()"
    )
    jobs.start(one)
    eventually(lambda: jobs.log(one.name, "")[0], "the command's begin")
    if how == "expire":
        cluster.expire(NAMESPACE, one.name)
    else:
        jobs.stop(one.name, "enough")

    def killed() -> str:
        return str(pod_of(cluster, one)["metadata"].get("deletionTimestamp") or "")

    at = datetime.fromisoformat(eventually(killed, "the pod's deletion"))

    def look() -> JobLook:
        found = jobs.look(one.name, one.timeout_s)
        assert found is not None
        return found

    with time_machine.travel(at + timedelta(seconds=GRACE_S), tick=False):
        found = look()
    assert (found.ended, found.hopeless) == (False, False)
    assert re.fullmatch(meanwhile, found.said), found.said
    if how == "lose":
        with time_machine.travel(at + timedelta(seconds=GRACE_S + 1), tick=False):
            assert look().stopped == afterwards
    door.write_text("")
    found = eventually(lambda: next((f for f in (look(),) if f.ended), None), "the pod's end")
    assert found.stopped.startswith(afterwards)
    assert cluster.store.all("Pod", NAMESPACE) == []


def test_lines_that_a_node_read_at_once_all_come(jobs: Jobs) -> None:
    one = job("import os; os.write(1, b'one\\ntwo\\nthree\\n')")
    ended(jobs, one)
    lines, after = jobs.log(one.name, "")
    assert lines == ["one", "two", "three"]
    assert jobs.log(one.name, after) == ([], after)


@pytest.mark.parametrize("program", ["sh", "python"])
def test_a_cluster_that_ends_while_a_container_is_started_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    begin = subprocess.Popen

    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(NAMESPACE))

        def ends_meanwhile(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
            process = begin(command, **how)
            if how.get("start_new_session"):
                begun.append(process)
                if command[0] == program:
                    stack.close()
            return process

        monkeypatch.setattr(subprocess, "Popen", ends_meanwhile)
        driver_jobs(cluster).start(job("import signal; signal.pause()"))
        eventually(lambda: begun and begun[-1].args[0] == program, "the container's start")
    try:
        assert [process.wait(PATIENCE_S) for process in begun] == [-signal.SIGKILL] * len(begun)
    finally:
        for process in begun:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
