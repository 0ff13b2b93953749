"""What a cluster does with suites, tried on the emulated one, and on a real one if there is one.

The real one is named by ``RELMAN_TEST_KUBECONFIG``, and ``RELMAN_TEST_SUITE_IMAGE`` is an image by digest
that it can pull and that has ``sh``, ``tar``, ``gzip``, ``head``, ``base64`` and ``sleep``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from relman_plugins.domain.suite_job import FAILED_TESTS, REPORTS, JobLook, SuiteJob
from relman_plugins.platforms.base import Jobs, RunsJobs
from relman_plugins.testing.kube import Cluster
from tests.platforms import places
from tests.platforms.places import NAMESPACE, driver, workload
from tests.waiting import eventually

IMAGE = os.environ.get("RELMAN_TEST_SUITE_IMAGE")
ABSENT = "sha256:" + "0" * 64
WRITE = 'echo "<testsuite/>" > "$RELMAN_REPORTS/a.xml"; '


class Place(NamedTuple):
    jobs: Jobs
    image: str
    absent: str
    """An image that can't be had."""
    release_id: str

    def job(self, script: str, **fields: Any) -> SuiteJob:
        given: dict[str, Any] = {
            "release_id": self.release_id,
            "step": "production.smoke",
            "round": 0,
            "attempt": 1,
            "image": self.image,
            "collector": self.image,
            "command": ("sh", "-c", script),
            "variables": {"RELMAN_REPORTS": REPORTS, "RELMAN_FAILED_TESTS": FAILED_TESTS},
            "files": ("a.xml",),
            "timeout_s": 120.0,
        }
        return SuiteJob(**given | fields)

    def ended(self, job: SuiteJob) -> JobLook:
        """Start a Job, and wait until it has ended, or never will by itself."""
        self.jobs.start(job)

        def look() -> JobLook | None:
            found = self.jobs.look(job.name, job.timeout_s)
            assert found is not None
            return found if found.ended or found.hopeless else None

        return eventually(look, f"the end of {job.name}")


@pytest.fixture(scope="module", params=["emulated", "real"])
def cluster(request: pytest.FixtureRequest) -> Iterator[tuple[Jobs, str, str]]:
    if request.param == "emulated":
        absent = f"shop/absent@{ABSENT}"
        with Cluster(NAMESPACE) as emulated:
            emulated.image(absent, "pull")
            yield jobs_of(emulated.kubeconfig()), f"shop/tests@sha256:{'7' * 64}", absent
    elif places.KUBECONFIG and IMAGE:
        config = yaml.safe_load(Path(places.KUBECONFIG).read_text())
        yield jobs_of(config), IMAGE, f"{IMAGE.partition('@')[0]}@{ABSENT}"
    else:
        pytest.skip("RELMAN_TEST_KUBECONFIG and RELMAN_TEST_SUITE_IMAGE name no cluster and no image for it")


def jobs_of(config: dict[str, Any]) -> Jobs:
    platform = driver(config, workload())
    assert isinstance(platform, RunsJobs)
    return platform.jobs()


@pytest.fixture
def place(cluster: tuple[Jobs, str, str], request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place with a release of the test's own, whose Jobs are gone afterwards."""
    found = Place(*cluster, f"{request.node.name}-{time.time_ns()}")
    yield found
    found.jobs.remove(found.release_id)


def test_output_and_reports_come_out_of_a_command_that_failed(place: Place, tmp_path: Path) -> None:
    script = f'{WRITE}echo hello; cat "$RELMAN_FAILED_TESTS"; exit 3'
    job = place.job(script, failed=("one.test", "two [é]"))
    found = place.ended(job)
    assert (found.ended, found.code, found.stopped) == (True, 3, "")
    assert found.tail.splitlines() == ["hello", "one.test", "two [é]"]
    assert place.jobs.log(job.name, "")[0] == found.tail.splitlines()
    assert place.jobs.reports(job, tmp_path) == ""
    assert (tmp_path / "a.xml").read_text() == "<testsuite/>\n"


def test_a_second_start_is_the_same_job(place: Place, tmp_path: Path) -> None:
    job = place.job(WRITE)
    place.ended(job)
    assert place.ended(job).ended
    assert place.jobs.reports(job, tmp_path) == ""
    assert place.jobs.remove(place.release_id) == 1


def test_what_can_not_be_pulled_is_hopeless_and_can_be_stopped(place: Place) -> None:
    job = place.job(WRITE, image=place.absent)
    found = place.ended(job)
    assert found.hopeless
    assert "its pod does not start" in found.said
    place.jobs.stop(job.name, "enough")
    assert place.ended(job).stopped == "enough"


def test_what_runs_is_removed_at_once(place: Place) -> None:
    job = place.job("sleep 1000")
    place.jobs.start(job)
    assert place.jobs.remove(place.release_id) == 1
    eventually(lambda: place.jobs.look(job.name, 60) is None, "its end")
