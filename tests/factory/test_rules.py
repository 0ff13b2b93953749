"""Airflow's own scheduling of the example, with operators that fail when they are told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from relman_plugins.plan.compile import compile_shape
from relman_plugins.spec.api import load_pipeline
from tests.factory.conftest import ROOT
from tests.plan.rules import settle

DAG_FILE = """\
# airflow dag
from pathlib import Path
from relman_plugins.factory.loader import load_dags, specs_folder
from tests.factory.fakes import FAILING, FakeMaintenance

folder = Path(__file__).resolve().parent.parent / "release_specs"
load_dags(globals(), folder, catalog=FAILING, maintenance_operator=FakeMaintenance)
"""

RUN = """
import json, subprocess, sys
subprocess.run(["airflow", "db", "migrate"], check=True, stdout=subprocess.DEVNULL)
subprocess.run(["airflow", "dags", "reserialize"], check=True, stdout=subprocess.DEVNULL)
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(dag_folder=sys.argv[1]).dags["release__checkout"]
ends = []
for failing in sys.argv[2:]:
    run = dag.test(run_conf={"version": "1.0.0", "changes": failing})
    ends.append([run.state, {ti.task_id: ti.state for ti in run.get_task_instances()}])
print(json.dumps(ends))
"""


@pytest.mark.real
@pytest.mark.timeout(600)
def test_airflow_plays_the_rules_as_the_plans_tests_do(specs, tmp_path):
    dags = specs.parent / "dags"
    dags.mkdir()
    (dags / "releases.py").write_text(DAG_FILE)
    failing = ["production.canary_50", "production.approval", "qa.provision", "close"]
    env = {
        **os.environ,
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
    }
    command = [sys.executable, "-c", RUN, str(dags / "releases.py"), *failing]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    documents = load_pipeline(specs / "checkout.yaml").documents
    assert documents
    shape = compile_shape(documents)
    ends = dict(zip(failing, json.loads(done.stdout.strip().splitlines()[-1]), strict=True))
    for step, (_, states) in ends.items():
        assert states == settle(shape, failed=step), step
    # Operators decide what the run's colour says: it is close's.
    assert {step: state for step, (state, _) in ends.items()} == {
        **dict.fromkeys(failing, "success"),
        "close": "failed",
    }
