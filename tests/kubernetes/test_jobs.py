"""Suites as Jobs in an emulated cluster, over its real API: the command and the collector really run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relman_plugins.errors import PlatformRejected, PlatformUnavailable
from relman_plugins.platforms.base import Jobs
from relman_plugins.platforms.kubernetes.job_object import job_object
from relman_plugins.testing.kube import Cluster
from relman_plugins.testing.kube.resources import BY_KIND
from tests.kubernetes.suites import IMAGE, REPORT, driver_jobs, ended, job, pod_of
from tests.platforms.places import NAMESPACE
from tests.waiting import eventually


def test_what_a_command_writes_comes_out_however_it_ended(jobs: Jobs, tmp_path: Path) -> None:
    one = job(f"{REPORT}\nprint('hello')\nprint('$HOME $(RELMAN_REPORTS)')\nraise SystemExit(3)")
    found = ended(jobs, one)
    assert (found.code, found.stopped) == (3, "")
    assert found.tail == "hello\n$HOME $(RELMAN_REPORTS)"
    assert jobs.reports(one, tmp_path) == ""
    assert (tmp_path / "a.xml").read_text() == "<testsuite/>"


def test_a_second_start_finds_the_first_and_starts_nothing(
    jobs: Jobs, cluster: Cluster, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    one = job(f"{REPORT}\nopen({str(count)!r}, 'a').write('x')")
    cluster.faults.lose("patch", "jobs.batch")
    ended(jobs, one)
    jobs.start(one)
    ended(driver_jobs(cluster), one)
    assert count.read_text() == "x"
    assert len(cluster.store.all("Job", NAMESPACE)) == 1


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        ("oom", r"ran out of memory and was killed \(OOMKilled\); it may use 64Mi, see pod: \{memory"),
        ("evict", "its pod was evicted from its node: The node was low on resource: memory."),
        ("lose", r"its pod is gone, and its reports with it \(BackoffLimitExceeded: Job has reached"),
        ("expire", "took longer than 60 s and was stopped by the cluster"),
        ("kill", "its pod has ended, and the cluster does not say how"),
        ("nothing", "could not be started: FileNotFoundError: .*no-such-program"),
    ],
)
def test_why_a_pod_ended_is_said_in_words(jobs: Jobs, cluster: Cluster, fate: str, said: str) -> None:
    one = job("import signal; signal.pause()", memory="64Mi")
    if fate == "oom":
        cluster.image(IMAGE, "oom")
    if fate == "nothing":
        one = job(command=("no-such-program",))
    if fate == "kill":
        cluster.image(IMAGE, "hold")
    jobs.start(one)
    pod = pod_of(cluster, one)["metadata"]["name"]
    if fate == "evict":
        cluster.evict(pod)
    elif fate == "lose":
        for node in ("node-1", "node-2"):
            cluster.lose_node(node)
    elif fate == "expire":
        cluster.expire(NAMESPACE, one.name)
    elif fate == "kill":
        status = pod_of(cluster, one)
        cluster.store.put(BY_KIND["Pod"], status | {"status": {"phase": "Failed"}}, status=True)
    found = ended(jobs, one)
    assert found.ended
    assert re.match(said, found.stopped), found.stopped


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        ("pull", "its pod does not start: pod .*, container suite: ErrImagePull: .*manifest unknown"),
        ("shell", "its pod does not start: .*give pod: a collector: that has"),
    ],
)
def test_what_can_never_start_is_hopeless_and_stays_stopped(
    jobs: Jobs, cluster: Cluster, fate: str, said: str
) -> None:
    cluster.image(IMAGE, fate)
    one = job()
    found = ended(jobs, one)
    assert (found.hopeless, found.ended) == (True, False)
    assert re.match(said, found.said), found.said
    jobs.stop(one.name, found.said)
    cluster.image(IMAGE, None)
    again = ended(jobs, one)
    assert (again.ended, again.stopped) == (True, found.said)
    eventually(lambda: not cluster.store.all("Pod", NAMESPACE), "the pod's end")


def test_what_keeps_a_pod_from_being_made_is_told_while_it_is_waited_for(
    jobs: Jobs, cluster: Cluster
) -> None:
    cluster.quota(NAMESPACE, 0)
    one = job()
    jobs.start(one)

    def said() -> str:
        found = jobs.look(one.name, 60)
        assert found is not None
        assert not found.hopeless
        return found.said

    assert "exceeded quota" in eventually(said, "the reason")
    cluster.quota(NAMESPACE, None)
    assert ended(jobs, one).code == 0


def test_a_command_that_takes_longer_than_it_may_is_hopeless(jobs: Jobs, cluster: Cluster) -> None:
    one = job("import signal; signal.pause()", timeout_s=0.0)
    found = ended(jobs, one)
    assert (found.hopeless, found.said) == (True, "took longer than 0 s and was stopped")


def test_its_log_is_passed_on_once_and_in_order(jobs: Jobs) -> None:
    one = job("for n in range(100): print('line', n, flush=True)\nprint('é' * 3000)")
    ended(jobs, one)
    lines, after = jobs.log(one.name, "")
    assert lines[:100] == [f"line {n}" for n in range(100)]
    assert len(lines[100]) == 2000
    assert jobs.log(one.name, after) == ([], after)


def test_removal_ends_what_runs_and_leaves_other_releases_alone(jobs: Jobs, cluster: Cluster) -> None:
    mine = job("import signal; signal.pause()")
    other = mine.model_copy(update={"release_id": "checkout-1.2.0-1"})
    for one in (mine, other):
        jobs.start(one)
        pod_of(cluster, one)
    assert jobs.remove(mine.release_id, "production.another") == 0
    assert jobs.remove(mine.release_id, mine.step) == 1
    assert jobs.look(mine.name, 60) is None
    assert [p["metadata"]["labels"]["relman/job"] for p in cluster.store.all("Pod", NAMESPACE)] == [
        other.name
    ]
    assert jobs.remove(other.release_id) == 1


def test_a_job_of_somebody_else_is_left_alone(jobs: Jobs, cluster: Cluster) -> None:
    one = job()
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": one.name, "namespace": NAMESPACE},
            "spec": {"suspend": True}}  # fmt: skip
    cluster.store.put(BY_KIND["Job"], made)
    for ask in (lambda: jobs.start(one), lambda: jobs.look(one.name, 60), lambda: jobs.stop(one.name, "")):
        with pytest.raises(PlatformRejected, match="is there and not relman's"):
            ask()
    assert jobs.remove(one.release_id) == 0


def test_a_log_that_can_not_be_had_now_is_no_answer(jobs: Jobs, cluster: Cluster) -> None:
    one = job()
    ended(jobs, one)
    cluster.faults.fail("get", "pods", 503)
    with pytest.raises(PlatformUnavailable, match="HTTP 503"):
        jobs.log(one.name, "")
    cluster.faults.lose("get", "pods", after=False)
    with pytest.raises(PlatformUnavailable, match="does not answer GET"):
        jobs.log(one.name, "")
    cluster.faults.fail("get", "pods", 403, message="pods is forbidden")
    with pytest.raises(PlatformRejected, match=r"/log: pods is forbidden; deploy/kubernetes-rbac\.yaml has"):
        jobs.log(one.name, "")


def test_a_suite_with_limits_is_let_in_by_a_quota_of_limits() -> None:
    pod = job_object(job(cpu="1", memory="1Gi"), NAMESPACE)["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_names_and_limits_are_kubernetes_own() -> None:
    long = job(step="production." + "Browser_" * 20, attempt=11, failed=("é" * 150_000,), user=1000)
    made = job_object(long, NAMESPACE)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,55}[a-z0-9])", long.name)
    for value in made["metadata"]["labels"].values():
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value)
    annotations = made["spec"]["template"]["metadata"]["annotations"]
    assert annotations["relman/failed-tests"] == ""
    pod = made["spec"]["template"]["spec"]
    assert (pod["automountServiceAccountToken"], pod["securityContext"]["runAsUser"]) == (False, 1000)
    assert not {"relman/environment", "relman/service"} & set(made["metadata"]["labels"])
