"""What Airflow's long-running processes load early, so that the processes they fork find it there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
