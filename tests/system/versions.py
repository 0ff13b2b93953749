"""A release whose spec is edited while it waits, where the DAG bundle has versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.repository import begin, commit
from tests.system.conftest import Run, World, fill
from tests.waiting import eventually

CONFIGURED = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
GATE = "live.approval"


def snapshots() -> dict[str, str]:
    """Return the settings for snapshots of the folder that the DAG folder lies in."""
    kwargs = {"folders": ["dags", "release_specs", "checkout"]}
    return _configured("relman_plugins.bundles.snapshot.SnapshotDagBundle", kwargs)


def from_git(repo: Path) -> dict[str, str]:
    """Make the folder a repository; return the settings with which Airflow has its files from that."""
    fill(repo)
    (repo / ".gitignore").write_text("/state\n")
    begin(repo)
    commit(repo)
    kwargs = {"git_conn_id": "releases_git", "tracking_ref": "main", "subdir": "dags"}
    connection = {"conn_type": "git", "host": str(repo)}
    found = _configured("airflow.providers.git.bundles.git.GitDagBundle", kwargs)
    return found | {"AIRFLOW_CONN_RELEASES_GIT": json.dumps(connection)}


def _configured(classpath: str, kwargs: dict[str, object]) -> dict[str, str]:
    listed = [{"name": "releases", "classpath": classpath, "kwargs": kwargs}]
    # Specs are those beside the DAG files.
    return {CONFIGURED: json.dumps(listed), "AIRFLOW__RELMAN__SPECS_FOLDER": ""}


def version_of(world: World) -> str:
    """Return the version of the bundle with which the next release begins."""
    _, dag = world.call("admin", "GET", "/api/v2/dags/release__gated/details")
    return str(dag["bundle_version"])


def bundle_of(run: Run) -> dict[str, str]:
    """Return which bundle the release was opened with, and its version."""
    return dict(run.events("release.opened")[0].data["made_with"]["bundle"])


def waiting_while_edited(world: World, take: Callable[[], object] = lambda: None) -> Run:
    """Return a release that waits at its gate, for an hour; by the newest spec it would be two."""
    run = world.start("gated")
    run.asked(GATE)
    started_with = version_of(world)
    assert bundle_of(run) == {"name": "releases", "version": started_with}
    spec = world.specs / "gated.yaml"
    spec.write_text(spec.read_text().replace("timeout: 1h", "timeout: 2h"))
    take()
    eventually(lambda: version_of(world) != started_with, "the edited spec")
    return run


def approved(run: Run) -> None:
    """Let it go on; it ends well, by the spec that it started with."""
    assert run.answer("alice", GATE, "Approve")[0] == 200
    assert (run.outcome(), run.state(), timeout_of(run)) == ("succeeded", "success", 3600)


def timeout_of(run: Run) -> object:
    """Return how long the release's gate waits, in seconds."""
    steps = run.world.ledger.release(run.release_id).plan.shape.steps
    return next(s.args["timeout_s"] for s in steps if s.id == GATE)
