"""What Airflow's long-running processes load early, so that the processes they fork find it there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from relman_plugins.plugin.rehearsal import SPECS, rehearse
from relman_plugins.spec.api import load_pipeline

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, runpy, sys
from airflow.jobs.job import Job
from airflow.listeners.listener import get_listener_manager
from airflow.sdk.execution_time.task_runner import TaskRunnerMarker

def relman():
    return {m for m in sys.modules if m.startswith("relman_plugins.")}

before = relman()
get_listener_manager().hook.on_starting(component=TaskRunnerMarker())
for_a_task = sorted(relman() - before - {m for m in relman() if m.startswith("relman_plugins.plugin")})
Job()  # as the scheduler, the DAG processor and the triggerer begin
preloaded = relman()
import pydantic
from relman_plugins.domain.base import Frozen
from relman_plugins.plan.model import Shape
from relman_plugins.spec.models import ReleasePipeline
built = [ReleasePipeline.__pydantic_complete__, Shape.__pydantic_complete__]
dags = runpy.run_path(sys.argv[1])
print(json.dumps({
    "for a task": for_a_task,
    "built": built,
    "found": sorted(name for name in dags if name.startswith("release__"))[:1],
    "later": sorted(relman() - preloaded),
}))
"""


def test_a_forked_process_finds_everything_there_that_a_parse_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(ROOT / "dags" / "relman_releases.py")],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.strip().splitlines()[-1])
    assert said == {"for a task": [], "built": [True, True], "found": said["found"], "later": []}
    assert said["found"]


def test_what_is_rehearsed_is_a_right_spec_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    rehearse()
    assert not list(temporary.iterdir())
    assert not home.exists()


def test_what_is_rehearsed_has_no_findings(tmp_path: Path) -> None:
    for name, text in SPECS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    loaded = load_pipeline(tmp_path / "rehearsal.yaml")
    assert loaded.documents is not None
    assert not loaded.diagnostics
