"""Suites that run as pods: real commands in an emulated cluster, real Jobs over its API, a real ledger."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from relman_plugins.domain.event import Kind
from relman_plugins.hooks.platform import platform_of
from relman_plugins.operators.close import close
from relman_plugins.testing.kube import Cluster
from relman_plugins.testing.kube.resources import BY_KIND
from relman_plugins.triggers.job import JobTrigger
from tests.platforms.places import MANIFESTS
from tests.steps import world as worlds
from tests.steps.world import Release, World, make_world, payload
from tests.waiting import eventually

SUITE = "production.one"
ON_A_CLUSTER = "platform: kubernetes\nconnection: cluster\nkubernetes: {namespace: shop, drain: 1s}"
IMAGE = "shop/tests@sha256:" + "7" * 64
PRELUDE = """
import json, os, pathlib, sys
attempt = int(os.environ["RELMAN_ATTEMPT"])
reports = pathlib.Path(os.environ["RELMAN_REPORTS"])
failed_before = pathlib.Path(os.environ["RELMAN_FAILED_TESTS"]).read_text().splitlines()
def tests(**results):
    words = {"failed": "<failure message='no'/>", "passed": ""}
    cases = "".join(f"<testcase name='{name}'>{words[said]}</testcase>" for name, said in results.items())
    (reports / "out").mkdir(exist_ok=True)
    (reports / "out" / "one.xml").write_text(f"<testsuite>{cases}</testsuite>")
    return "failed" in results.values()
"""


@pytest.fixture
def suite() -> dict[str, Any]:
    return {"junit": "out/one.xml", "retries": 1, "pod": {"image": IMAGE, "memory": "64Mi"}}


@pytest.fixture(autouse=True)
def specs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suite: dict[str, Any]) -> None:
    """Let production be a namespace, in which one suite runs as a pod."""
    command = ["python", "-c", "import os; exec(open(os.environ['CODE']).read())"]
    one = {"command": command, "env": {"CODE": str(tmp_path / "code.py")}, "junit": "out/one.xml", **suite}
    text = worlds.SPECS["checkout.yaml"].partition("analyses:")[0].replace(
        "  one: {command: [python, one.py], junit: one.xml}", f"  one: {json.dumps(one)}"
    )  # fmt: skip
    text = text.replace("[python, build.py]}", "[python, build.py], image: image.txt}")
    text = text.replace("  two: {command: [python, two.py], junit: two.xml}\n", "")
    text += "stages:\n  - environment: production\n    suites: [one]\n"
    monkeypatch.setitem(worlds.SPECS, "checkout.yaml", text)
    production = worlds.SPECS["environments/production.yaml"]
    sandbox = "platform: sandbox\nconnection: relman_sandbox"
    monkeypatch.setitem(
        worlds.SPECS, "environments/production.yaml", production.replace(sandbox, ON_A_CLUSTER)
    )
    monkeypatch.setitem(worlds.SPECS, "manifests/checkout.yaml", MANIFESTS)


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster, comms: Any, revisions: Any
) -> Iterator[World]:
    home = tmp_path / "relman"
    home.mkdir()
    connection = {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(cluster.kubeconfig())}}
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(home))
    monkeypatch.setenv("AIRFLOW__RELMAN__MINIMUM_DEFERRAL", "0.01")
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(connection))
    pushed = {v: r.model_copy(update={"image": f"shop/checkout@{r.digest}"}) for v, r in revisions.items()}
    shape = worlds.shape_in(tmp_path / "first" / "release_specs")
    made = make_world(home, platform_of(shape.environment("production")), pushed)
    yield made
    made.ledger.close()


@pytest.fixture
def release(world: World) -> Release:
    return world.open().finished("open", "build", "production.deploy")


@pytest.fixture
def code(tmp_path: Path) -> Callable[[str], None]:
    """Say what the suite's command does."""

    def write(text: str) -> None:
        (tmp_path / "code.py").write_text(PRELUDE + textwrap.dedent(text))

    return write


def told(deferred: TaskDeferred) -> Any:
    """Run a trigger to its event, as another process does, and look more often than it would."""
    _, arguments = deferred.trigger.serialize()
    return asyncio.run(payload(JobTrigger(**arguments | {"minimum_s": 0.0, "look_s": 0.02})))


def ended(release: Release, try_number: int = 1) -> dict[str, Any]:
    """Take the suite to its end; return what it recorded, with what the step said."""
    try:
        found = release.run(SUITE, try_number)
        while isinstance(found, TaskDeferred):
            found = release.resume(SUITE, found, told(found), try_number)
        said = found["message"]
    except AirflowFailException as error:
        said = str(error)
    return release.events(Kind.SUITE_FINISHED)[-1].data | {"said": said}


def jobs(cluster: Cluster) -> list[str]:
    return [j["metadata"]["name"] for j in cluster.store.all("Job", "shop")]


def test_a_green_suite_is_green_and_leaves_nothing_behind(
    release: Release, code: Any, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    code(
        """
        assert os.environ["RELMAN_BASE_URL"] == "http://checkout.shop.svc:80"
        assert (os.environ["RELMAN_VERSION"], os.environ["RELMAN_ENVIRONMENT"]) == ("1.1.0", "production")
        print("hello from the pod")
        tests(a="passed", b="passed")
        """
    )
    release.world.live("1.1.0")
    capsys.readouterr()
    found = ended(release)
    assert found["said"] == "suite one: 2 ran, 0 failed, 0 broke, 0 skipped"
    assert (found["passed"], found["tests"], found["tries"]) == (True, 2, 1)
    assert capsys.readouterr().out.count("hello from the pod") == 1
    assert jobs(cluster) == []


def test_what_passes_when_tried_again_is_flaky(release: Release, code: Any) -> None:
    code(
        """
        if attempt == 1:
            sys.exit(tests(a="passed", b="failed"))
        assert failed_before == ["b"]
        tests(b="passed")
        """
    )
    found = ended(release)
    assert (found["passed"], found["tries"], found["flaky"]) == (True, 2, [{"name": "b", "message": "no"}])


def test_what_fails_every_time_is_red_with_what_it_printed(release: Release, code: Any) -> None:
    code("print('attempt', attempt); sys.exit(tests(a='failed'))")
    found = ended(release)
    assert (found["passed"], found["tries"], found["failed"]) == (False, 2, [{"name": "a", "message": "no"}])
    assert "1 failed, 0 broke, 0 skipped; at most 0 may fail; first: a\nattempt 2" in found["said"]


def test_a_worker_that_is_lost_starts_nothing_twice(
    release: Release, code: Any, cluster: Cluster, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    code(f"open({str(count)!r}, 'a').write('x'); sys.exit(tests(a='failed' if attempt == 1 else 'passed'))")
    cluster.image(IMAGE, "hold")
    assert isinstance(release.run(SUITE), TaskDeferred)
    # Nothing of the first process is left: neither its trigger nor what it knew.
    second = release.run(SUITE, 2)
    assert isinstance(second, TaskDeferred)
    assert len(jobs(cluster)) == 1
    cluster.image(IMAGE, None)
    told(second)
    third = release.run(SUITE, 3)
    assert isinstance(third, TaskDeferred)
    assert third.trigger.name == jobs(cluster)[1]
    told(third)
    found = ended(release, 4)
    assert (found["passed"], found["tries"], found["flakes"]) == (True, 2, 1)
    assert count.read_text() == "xx"


def test_a_suite_that_ended_before_a_long_hold_does_not_run_again(
    release: Release, code: Any, cluster: Cluster, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    code(f"open({str(count)!r}, 'a').write('x'); tests(a='passed')")
    waiting = release.run(SUITE)
    event = told(waiting)
    release.person(Kind.RELEASE_HELD)
    held = release.resume(SUITE, waiting, event)
    assert isinstance(held, TaskDeferred)
    # What the cluster does in a week.
    for made in cluster.store.all("Job", "shop"):
        if made["spec"]["ttlSecondsAfterFinished"] < 7 * 24 * 3600:
            cluster.store.remove(BY_KIND["Job"], "shop", made["metadata"]["name"])
    release.person(Kind.RELEASE_RESUMED)
    found = release.resume(SUITE, held, {"state": "resumed"})
    assert found["message"].startswith("suite one: 1 ran, 0 failed")
    assert count.read_text() == "x"


def test_a_worker_that_is_lost_after_the_suites_end_judges_nothing_anew(
    release: Release, code: Any, cluster: Cluster
) -> None:
    code("tests(a='passed')")
    waiting = release.run(SUITE)
    told(waiting)
    release.says(Kind.SUITE_FINISHED, SUITE, suite="one", passed=False, reason="1 failed", tries=2, tests=1)
    found = ended(release, 2)
    assert found["said"] == "suite one: 1 failed\n"
    assert jobs(cluster) == []


def test_who_clears_a_red_suite_runs_it_anew(release: Release, code: Any, cluster: Cluster) -> None:
    code("sys.exit(tests(a='failed'))")
    # Also when the Jobs that have ended are still there.
    cluster.faults.fail("delete", "jobs.batch", 403, message="jobs.batch is forbidden")
    assert not ended(release)["passed"]
    assert len(jobs(cluster)) == 2
    code("assert attempt == 1; tests(a='passed')")
    assert ended(release, 2)["passed"]


def test_an_abort_ends_the_pod_at_once(release: Release, code: Any, cluster: Cluster) -> None:
    code("import signal; signal.pause()")
    waiting = release.run(SUITE)
    eventually(lambda: cluster.store.all("Pod", "shop"), "the pod")
    release.person(Kind.ABORT_REQUESTED)
    event = told(waiting)
    assert event == {"state": "over"}
    assert jobs(cluster) == []
    with pytest.raises(AirflowFailException, match="Bob asked to abort the release: because"):
        release.resume(SUITE, waiting, event)
    eventually(lambda: not cluster.store.all("Pod", "shop"), "the pod's end")


def test_the_end_of_a_release_removes_what_an_abort_without_a_triggerer_left(
    release: Release, code: Any, cluster: Cluster
) -> None:
    code("import signal; signal.pause()")
    release.run(SUITE)
    assert len(jobs(cluster)) == 1
    release.person(Kind.ABORT_REQUESTED)
    close(release.task("close").start(release.context("close")))
    assert jobs(cluster) == []


def test_a_pod_that_can_not_start_is_red_in_the_clusters_words(
    release: Release, code: Any, cluster: Cluster
) -> None:
    cluster.image(IMAGE, "pull")
    found = ended(release)
    assert (found["passed"], found["tries"]) == (False, 2)
    assert "its pod does not start" in found["reason"]
    assert "ErrImagePull" in found["reason"]


@pytest.mark.parametrize(
    ("fate", "said"),
    [("oom", "ran out of memory and was killed (OOMKilled); it may use 64Mi"), ("evict", "evicted")],
)
def test_a_pod_that_was_ended_is_one_try_that_broke_off(
    release: Release, code: Any, cluster: Cluster, fate: str, said: str
) -> None:
    code("import signal\nif attempt == 1: signal.pause()\ntests(a='passed')")
    cluster.image(IMAGE, "oom" if fate == "oom" else "hold")
    waiting = release.run(SUITE)
    if fate == "evict":
        pod = eventually(lambda: cluster.store.all("Pod", "shop"), "the pod")[0]
        cluster.evict(pod["metadata"]["name"])
    event = told(waiting)
    cluster.image(IMAGE, None)
    waiting = release.resume(SUITE, waiting, event)
    release.resume(SUITE, waiting, told(waiting))
    found = release.events(Kind.SUITE_FINISHED)[-1].data
    assert (found["passed"], found["tries"]) == (True, 2)
    assert found["flaky"][0]["name"] == "(the whole suite)"
    assert said in found["flaky"][0]["message"]


def test_a_job_that_somebody_removed_fails_the_step_with_what_to_do(
    release: Release, code: Any, cluster: Cluster
) -> None:
    cluster.image(IMAGE, "hold")
    waiting = release.run(SUITE)
    platform_of(release.world.shape.environment("production")).jobs().remove(release.id)
    event = told(waiting)
    with pytest.raises(AirflowFailException, match=r"was removed from the cluster while it ran.*clear the"):
        release.resume(SUITE, waiting, event)


def test_a_job_that_another_try_has_read_and_removed_has_told_what_it_came_to(
    release: Release, code: Any, cluster: Cluster
) -> None:
    code("tests(a='passed')")
    waiting = release.run(SUITE)
    told(waiting)
    release.says(Kind.SUITE_FINISHED, SUITE, suite="one", passed=True, reason="1 ran", tries=1, tests=1)
    platform_of(release.world.shape.environment("production")).jobs().remove(release.id)
    event = told(waiting)
    assert event == {"state": "gone"}
    assert release.resume(SUITE, waiting, event)["message"] == "suite one: 1 ran"


def test_a_cluster_that_does_not_answer_is_asked_again(release: Release, code: Any, cluster: Cluster) -> None:
    code("tests(a='passed')")
    waiting = release.run(SUITE)
    cluster.faults.fail("get", "jobs.batch", 401)
    assert release.resume(SUITE, waiting, told(waiting))["message"].startswith("suite one: 1 ran")


def test_a_right_that_is_missing_ends_the_step_with_its_name(release: Release, cluster: Cluster) -> None:
    cluster.image(IMAGE, "hold")
    waiting = release.run(SUITE)
    cluster.faults.fail("get", "jobs.batch", 403, message="jobs.batch is forbidden", times=10)
    event = told(waiting)
    assert event == {"state": "refused"}
    with pytest.raises(AirflowFailException, match=r"may not GET .*/jobs/.*deploy/kubernetes-rbac\.yaml"):
        release.resume(SUITE, waiting, event)


def test_reports_that_may_not_be_read_are_no_green_suite(
    release: Release, code: Any, cluster: Cluster
) -> None:
    code("tests(a='passed')")
    waiting = release.run(SUITE)
    cluster.faults.fail("get", "pods", 403, message="pods is forbidden", times=1000)
    event = told(waiting)
    assert event == {"state": "ended"}
    with pytest.raises(AirflowFailException, match=r"may not GET .*/log: pods is forbidden"):
        release.resume(SUITE, waiting, event)
    assert release.events(Kind.SUITE_FINISHED) == []


@pytest.mark.parametrize("suite", [{"junit": "out/one.xml", "pod": {}}])
def test_without_an_image_of_its_own_it_runs_in_the_releases(
    release: Release, code: Any, cluster: Cluster
) -> None:
    code("tests(a='passed')")
    waiting = release.run(SUITE)
    (made,) = cluster.store.all("Job", "shop")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == release.artifact.image
    assert release.resume(SUITE, waiting, told(waiting))["message"].startswith("suite one: 1 ran")


@pytest.mark.parametrize(("suite", "retries"), [({"pod": {}}, 3), ({}, 0)])
def test_its_task_is_tried_again_and_one_on_a_worker_is_not(
    release: Release, suite: dict[str, Any], retries: int
) -> None:
    assert release.task(SUITE).retries == retries
