"""The benchmarks run and say everything; how fast anything is no test asserts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = (
    "parse, 3 pipelines as they were",
    "the first parse, YAML and checks included, 3",
    "when its spec was never compiled",
    "parse and serialise, form of ten fields, 3 pipelines",
    "each further field of the form",
    "importing the loader over airflow.sdk",
    "modules of Kubernetes and Slack that it imports",
    "a task's own parse, 2 pipelines",
    "a task's own parse, 20 pipelines",
    "relman validate of one spec",
    "relman --help",
    "tasks that do nothing",
    "a step beside its own work, start to end",
    "an empty task by hand in the same Airflow",
)


@pytest.mark.real
@pytest.mark.timeout(600)
def test_the_quick_run_prints_every_row() -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert [row for row in ROWS if row not in done.stdout] == []
    assert "cores, load" in done.stdout
