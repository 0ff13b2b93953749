"""The Git bundle as the values for Helm have it: a release has the specs of the commit it started with."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import yaml

from tests.repository import begin, commit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a repository with DAG file and specs, and Airflow a connection to it."""
    found = tmp_path / "repository"
    for folder in ("dags", "release_specs"):
        shutil.copytree(ROOT / folder, found / folder, ignore=shutil.ignore_patterns("__pycache__"))
    begin(found)
    connection = {"conn_type": "git", "host": str(found)}
    monkeypatch.setenv("AIRFLOW_CONN_RELEASES_GIT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "disk"))
    monkeypatch.setenv("AIRFLOW__RELMAN__HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RELMAN_SPECS", raising=False)
    return found


def bundle(version: str | None) -> Any:
    (listed,) = yaml.safe_load((ROOT / "deploy/helm/values.yaml").read_text())["dagProcessor"][
        "dagBundleConfigList"
    ]
    found = resolve_name(listed["classpath"])(name=listed["name"], version=version, **listed["kwargs"])
    found.initialize()
    return found


def tasks(path: Path) -> set[str]:
    return set(runpy.run_path(str(path / "relman_releases.py"))["release__checkout"].task_ids)


def test_each_commit_has_its_own_specs(repository: Path) -> None:
    old = commit(repository)
    spec = repository / "release_specs" / "checkout.yaml"
    spec.write_text(spec.read_text().replace("steps: [10, 50, 100]", "steps: [50, 100]"))
    new = commit(repository)
    newest = bundle(None)
    assert newest.get_current_version().version == new
    assert "production.canary_10" not in tasks(newest.path)
    assert "production.canary_10" in tasks(bundle(old).path)
    assert "production.canary_10" not in tasks(bundle(new).path)
