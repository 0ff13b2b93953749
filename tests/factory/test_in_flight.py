"""A broken or removed spec leaves the DAG of its releases in flight alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from relman_plugins.factory.loader import load_dags
from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.remembered import forget, recall, remember
from relman_plugins.settings import shapes_folder
from relman_plugins.spec.api import load_pipeline

SPEC = """\
apiVersion: relman/v1
kind: ReleasePipeline
metadata: {name: shop, owner: team}
artifact: {source: .}
stages: [{environment: live}]
"""
ENVIRONMENT = """\
apiVersion: relman/v1
kind: Environment
metadata: {name: live, owner: team}
platform: sandbox
connection: relman_sandbox
replicas: 1
"""


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one pipeline that has a release in flight."""
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(tmp_path / "home"))
    folder = tmp_path / "specs"
    (folder / "environments").mkdir(parents=True)
    (folder / "environments" / "live.yaml").write_text(ENVIRONMENT)
    (folder / "shop.yaml").write_text(SPEC)
    loaded = load_pipeline(folder / "shop.yaml")
    assert loaded.documents is not None
    remember(shapes_folder(), compile_shape(loaded.documents))
    return folder


def test_a_broken_spec_gives_a_sentinel_and_keeps_the_dag_of_releases_in_flight(specs: Path) -> None:
    before: dict = {}
    load_dags(before, specs)
    (specs / "shop.yaml").write_text("kind: [")
    after: dict = {}
    load_dags(after, specs)
    assert {"relman_invalid__shop", "release__shop"} <= after.keys()
    kept = after["release__shop"]
    assert set(kept.task_dict) == set(before["release__shop"].task_dict)
    assert "relman-invalid" in kept.tags
    assert "relman-invalid" not in before["release__shop"].tags
    assert (
        kept.task_dict["live.deploy"].shape.hash
        == before["release__shop"].task_dict["live.deploy"].shape.hash
    )


def test_a_removed_spec_keeps_the_dag_while_releases_are_in_flight(specs: Path) -> None:
    (specs / "shop.yaml").unlink()
    dags: dict = {}
    load_dags(dags, specs)
    assert "release__shop" in dags
    forget(shapes_folder(), "shop")
    dags = {}
    load_dags(dags, specs)
    assert "release__shop" not in dags


def test_a_task_of_a_broken_spec_finds_its_dag(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (specs / "shop.yaml").write_text("kind: [")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "release__shop")
    dags: dict = {}
    load_dags(dags, specs)
    assert "release__shop" in dags


def test_a_damaged_memory_hurts_nobody(specs: Path) -> None:
    (shapes_folder() / "shop.json").write_text("{")
    (specs / "shop.yaml").write_text("kind: [")
    assert recall(shapes_folder(), "shop") is None
    dags: dict = {}
    result = load_dags(dags, specs)
    assert result.invalid == ("relman_invalid__shop",)
    assert "release__shop" not in dags


def test_a_memory_of_which_no_dag_can_be_built_hurts_nobody(specs: Path) -> None:
    (specs / "shop.yaml").unlink()
    dags: dict = {}
    load_dags(dags, specs, catalog={})
    assert "release__shop" not in dags
    assert "relman_maintenance" in dags
