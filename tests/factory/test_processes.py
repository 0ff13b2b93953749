"""The loader as Airflow uses it: a file in a DAG folder, read by fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factory.conftest import ROOT

DAG_FILE = """\
# airflow dag
from pathlib import Path
from relman_plugins.factory.loader import load_dags, specs_folder
from tests.factory.fakes import CATALOG, FakeMaintenance

folder = specs_folder(Path(__file__).resolve().parent.parent / "release_specs")
own = {"maintenance_operator": FakeMaintenance, "rollback_operator": FakeMaintenance}
load_dags(globals(), folder, catalog=CATALOG, **own)
"""

BAG = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(dag_folder=sys.argv[1], safe_mode=True)
dags = {i: DagSerialization.to_dict(d) for i, d in bag.dags.items()}
hashes = {i: SerializedDagModel.hash(d) for i, d in dags.items()}
print(json.dumps({"errors": bag.import_errors, "dags": dags, "hashes": hashes}))
"""

MODULES = """
import json, os, sys
import airflow.sdk
from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable, TaskGroup, Param, get_parsing_context
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.configuration import conf
bare = set(sys.modules)
import runpy
runpy.run_path(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - bare)))
"""


@pytest.fixture
def folder(specs: Path) -> Path:
    """A DAG folder beside the specs."""
    dags = specs.parent / "dags"
    dags.mkdir()
    (dags / "releases.py").write_text(DAG_FILE)
    return dags


def python(code: str, *args: object, home: Path, **env: str):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(home), **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_airflow_finds_the_dags_and_a_broken_spec_is_no_import_error(folder, tmp_path):
    (folder.parent / "release_specs" / "hello.yaml").write_text("]")
    bag = python(BAG, folder, home=tmp_path)
    assert bag["errors"] == {}
    assert set(bag["dags"]) == {
        "release__checkout",
        "train__checkout",
        "relman_invalid__hello",
        "relman_maintenance",
        "relman_rollback",
    }
    assert bag["dags"]["release__checkout"]["dag"]["fileloc"] == str(folder / "releases.py")


def test_two_processes_write_the_same_dags(folder, tmp_path):
    one, two = (python(BAG, folder, home=tmp_path, PYTHONHASHSEED=seed) for seed in ("1", "4711"))
    assert one["hashes"] == two["hashes"]  # by which Airflow tells versions of a DAG apart
    assert len(one["hashes"]) == 5
    for bag in (one, two):
        for dag in bag["dags"].values():
            dag["dag"]["tags"].sort()  # a set in Airflow, which sorts it before it compares
    assert one["dags"] == two["dags"]


def test_a_task_of_one_pipeline_gets_one_dag(folder, tmp_path):
    bag = python(BAG, folder, home=tmp_path, _AIRFLOW_PARSING_CONTEXT_DAG_ID="release__hello")
    assert set(bag["dags"]) == {"release__hello"}


def test_the_repositorys_own_dag_file_loads(tmp_path):
    bag = python(BAG, ROOT / "dags", home=tmp_path)
    assert bag["errors"] == {}
    stems = {f.stem for f in (ROOT / "release_specs").glob("*.yaml")} - {"people"}
    assert set(bag["dags"]) == {
        "relman_maintenance",
        "relman_rollback",
        "train__checkout",
        *(f"release__{stem}" for stem in stems),
    }


HEAVY = ("sqlalchemy", "httpx", "slack_sdk", "kubernetes", "alembic", "numpy", "rich", "typer", "fastapi")


def heavy(modules: list[str]) -> list[str]:
    return [m for m in modules if m.split(".")[0] in HEAVY]


def test_loading_imports_nothing_heavy(folder, tmp_path):
    # A timetable of one's own has to be one of Airflow's core, which the DAG processor has loaded.
    spec = folder.parent / "release_specs" / "checkout.yaml"
    spec.write_text(spec.read_text().partition("\nschedule:")[0])
    loaded = python(MODULES, folder / "releases.py", home=tmp_path)
    assert heavy(loaded) == []
    rooms = {m.split(".")[1] for m in loaded if m.startswith("relman_plugins.")}
    assert rooms <= {"domain", "errors", "files", "settings", "spec", "plan", "factory", "calendars"}


def test_nor_do_the_real_operators(tmp_path):
    wanted = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": "release__checkout"}
    loaded = python(MODULES, ROOT / "dags" / "relman_releases.py", home=tmp_path, **wanted)
    assert "relman_plugins.operators.deploy" in loaded
    assert heavy(loaded) == []


def test_a_task_of_a_release_imports_the_ledger_at_the_moment_of_use_only(tmp_path):
    dag = ROOT / "dags" / "relman_releases.py"
    loaded = python(MODULES, dag, home=tmp_path, _AIRFLOW_PARSING_CONTEXT_DAG_ID="release__checkout")
    assert "relman_plugins.operators.deploy" in loaded
    # Airflow has SQLAlchemy loaded already, so that a list of heavy libraries says nothing of these.
    late = ("relman_plugins.ledger", "relman_plugins.notifications.outbox", "relman_plugins.plugin")
    assert [m for m in loaded if m.startswith(late)] == []


def test_a_task_that_needs_no_spec_does_not_import_what_reads_them(tmp_path):
    dag = ROOT / "dags" / "relman_releases.py"
    loaded = python(MODULES, dag, home=tmp_path, _AIRFLOW_PARSING_CONTEXT_DAG_ID="relman_maintenance")
    assert "relman_plugins.operators.maintenance" in loaded
    assert [m for m in loaded if m.startswith(("relman_plugins.spec.", "relman_plugins.plan.compile"))] == [
        "relman_plugins.spec.files"
    ]


def test_a_pipeline_that_extends_nothing_imports_no_policies(folder, tmp_path):
    wanted = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": "release__hello"}
    loaded = python(MODULES, folder / "releases.py", home=tmp_path, **wanted)
    assert "relman_plugins.spec.models.pipeline" in loaded
    assert not {"relman_plugins.spec.models.policy", "relman_plugins.spec.schema", "difflib"} & {*loaded}
