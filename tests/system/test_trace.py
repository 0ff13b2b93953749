"""A release in other people's tools: one trace with everything that it did, and its numbers.

That Airflow has its files from a Git repository, so an edited spec is tried here with Airflow's own bundle.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector import Collector, collecting
from tests.repository import commit
from tests.system.conftest import Run, World
from tests.system.versions import approved, from_git, waiting_while_edited
from tests.waiting import eventually


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def airflow_settings(collector: Collector, repo: Path) -> dict[str, str]:
    traces = {"AIRFLOW__RELMAN__TRACE_URL": "https://traces.example/{trace_id}"}
    return collector.environment | from_git(repo) | traces


@pytest.fixture(scope="module")
def reparse_s() -> int:
    return 3


@pytest.fixture(scope="module")
def run(world: World, collector: Collector) -> Run:
    """A bad version, which is taken back."""
    world.found("canary", "canary")
    world.users("canary", "canary")
    run = world.start("canary", "1.2.0")
    assert run.outcome() == "rolled_back"
    assert run.state() == "failed"
    # The span of the whole run comes last: the scheduler sends it when the run has ended.
    eventually(lambda: collector.named(f"dag_run.{run.dag_id}"), "the run's own span")
    return run


def test_a_release_is_one_trace_that_its_record_names(world: World, run: Run, collector: Collector) -> None:
    mine = [s for s in collector.spans if s.attributes.get("relman.release_id") == run.release_id]
    (trace,) = {s.trace_id for s in mine}
    assert run.events("release.opened")[0].data["trace_id"] == trace
    assert {s.trace_id for s in collector.named(f"dag_run.{run.dag_id}")} == {trace}
    status, shown = world.call("admin", "GET", f"/relman/api/v1/releases/{run.release_id}")
    assert (status, shown["trace_url"]) == (200, f"https://traces.example/{trace}")


def test_its_spans_hang_below_those_of_airflow_and_say_what_was_done(run: Run, collector: Collector) -> None:
    (trace,) = {s.trace_id for s in collector.named(f"dag_run.{run.dag_id}")}
    spans = {s.span_id: s for s in collector.spans if s.trace_id == trace}

    def above(name: str) -> set[str]:
        return {spans[s.parent_id].name for s in spans.values() if s.name == name}

    assert {name.partition(".")[0] for name in above("relman.step")} == {"worker"}
    assert above("relman.analysis") == {"trigger.canary.canary_20"}
    assert above("relman.look") == above("relman.withdrawal") == {"relman.analysis"}
    # The traffic is taken back in a thread: the span goes there too.
    assert above("relman.converge") == {"relman.step", "relman.withdrawal"}
    steps = {s.attributes["relman.step"]: s for s in spans.values() if s.name == "relman.step"}
    assert {"open", "build", "canary.canary_20", "canary.rollback", "close"} <= set(steps)
    assert steps["close"].failed
    assert "rolled_back" in steps["close"].message
    weights = {s.attributes.get("relman.weight") for s in spans.values() if s.name == "relman.converge"}
    assert weights == {20, None}
    (analysis,) = [s for s in spans.values() if s.name == "relman.analysis"]
    assert analysis.attributes["relman.verdict"] == "fail"
    (build,) = [s for s in spans.values() if s.name == "relman.command"]
    assert build.attributes["relman.exit_code"] == 0


def test_its_numbers_are_among_airflows_metrics(run: Run, collector: Collector) -> None:
    name = "airflow.relman.release.rolled_back"
    eventually(lambda: name in collector.metrics, name)
    assert {"pipeline": "canary"}.items() <= collector.metrics[name][0].items()
    for other in ("release.opened", "release.duration", "step.duration", "traffic.withdrawal"):
        assert f"airflow.relman.{other}" in collector.metrics, sorted(collector.metrics)
    eventually(lambda: "airflow.relman.releases.active" in collector.metrics, "maintenance's numbers", 120)


def test_a_release_goes_on_by_its_commit_when_the_spec_is_edited(world: World, repo: Path) -> None:
    approved(waiting_while_edited(world, lambda: commit(repo)))
