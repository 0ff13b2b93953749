"""The same DAGs by other libraries that make DAGs of YAML, where they are installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import yaml

from benchmarks.made import graph
from relman_plugins.plan.model import Shape

KINDS = (
    {"operator": "airflow.providers.standard.operators.empty.EmptyOperator"},
    {
        "operator": "airflow.providers.standard.operators.python.PythonOperator",
        "python_callable_name": "work",
        "python_callable_file": "{here}/work.py",
    },
    {"operator": "airflow.providers.standard.operators.bash.BashOperator", "bash_command": "echo 1"},
)
ADD = "python -m pip install dag-factory gusty airflow-blueprint"

BLUEPRINT = """\
# airflow dag
from pathlib import Path
from blueprint import build_all_airflow_dags
build_all_airflow_dags(Path(__file__).parent / "blueprint", register_globals=globals())
"""

TEMPLATES = """\
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import TaskGroup
from blueprint import BaseModel, Blueprint

def work():
    return 1

class StageConfig(BaseModel):
    names: list[str]
    inner: list[list[str]]

class Stage(Blueprint[StageConfig]):
    def render(self, config):
        with TaskGroup(self.step_id) as group:
            tasks = {}
            for number, name in enumerate(config.names):
                if number % 3 == 0:
                    tasks[name] = EmptyOperator(task_id=name)
                elif number % 3 == 1:
                    tasks[name] = PythonOperator(task_id=name, python_callable=work)
                else:
                    tasks[name] = BashOperator(task_id=name, bash_command="echo 1")
            for before, after in config.inner:
                tasks[before] >> tasks[after]
        return group

class OneConfig(BaseModel):
    pass

class One(Blueprint[OneConfig]):
    def render(self, config):
        return EmptyOperator(task_id=self.step_id)
"""

DAG_FACTORY = """\
# airflow dag
from pathlib import Path
from dagfactory import load_yaml_dags
load_yaml_dags(globals_dict=globals(), dags_folder=str(Path(__file__).parent / "dag_factory"))
"""

GUSTY = """\
# airflow dag
from pathlib import Path
from gusty import create_dag
for folder in sorted((Path(__file__).parent / "gusty").iterdir()):
    globals()[folder.name] = create_dag(str(folder), latest_only=False)
"""


MODULES = {"dag-factory": "dagfactory", "gusty": "gusty", "blueprint": "blueprint"}


def installed() -> list[str]:
    """Return the peers that can be imported."""
    return [name for name, module in MODULES.items() if find_spec(module)]


def said() -> str:
    """Say which peers are measured, and how to add the others."""
    found = installed()
    return f"beside: {', '.join(found) or 'nobody'}" + (
        "" if len(found) == len(MODULES) else f"; more: {ADD}"
    )


def files(home: Path, plan: Shape, count: int) -> dict[str, Path]:
    """Write ``count`` DAGs of the plan's tasks, groups and edges for every peer that is there."""
    (home / "work.py").write_text("def work():\n    return 1\n")
    makers = {"dag-factory": _dag_factory, "gusty": _gusty, "blueprint": _blueprint}
    return {name: makers[name](home, plan, count) for name in installed()}


def _kind(number: int, here: Path) -> dict[str, str]:
    return {key: value.format(here=here) for key, value in KINDS[number % 3].items()}


def _named(step_id: str) -> str:
    """Return a name that is unique without its group: that is how both libraries find dependencies."""
    return step_id.replace(".", "_")


def _needs(plan: Shape) -> dict[str, list[str]]:
    return {step.id: [_named(need) for need in step.needs] for step in plan.steps}


def _dag_factory(home: Path, plan: Shape, count: int) -> Path:
    _, groups, _ = graph(plan)
    needs = _needs(plan)
    tasks = []
    for number, step in enumerate(plan.steps):
        task = {"task_id": _named(step.id), **_kind(number, home), "dependencies": needs[step.id]}
        tasks.append(task | ({"task_group_name": step.stage} if step.stage else {}))
    folder = home / "dag_factory"
    folder.mkdir()
    for number in range(count):
        spec = {
            f"factory_{number}": {
                "default_args": {"start_date": "2025-01-01", "owner": "team"},
                "schedule": None,
                "catchup": False,
                "params": {"version": "1.0.0"},
                "task_groups": [{"group_name": name} for name in groups],
                "tasks": tasks,
            }
        }
        (folder / f"{number}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    file = home / "by_dag_factory.py"
    file.write_text(DAG_FACTORY)
    return file


def _gusty(home: Path, plan: Shape, count: int) -> Path:
    needs = _needs(plan)
    for number in range(count):
        folder = home / "gusty" / f"gusty_{number}"
        folder.mkdir(parents=True)
        meta = {
            "schedule": None,
            "catchup": False,
            "default_args": {"owner": "t", "start_date": "2025-01-01"},
        }
        (folder / "METADATA.yml").write_text(yaml.safe_dump(meta | {"params": {"version": "1.0.0"}}))
        for turn, step in enumerate(plan.steps):
            inner = folder / step.stage if step.stage else folder
            inner.mkdir(exist_ok=True)
            kind = (
                "airflow.providers.standard.operators.bash.BashOperator" if turn % 3 else KINDS[0]["operator"]
            )
            task = {"operator": kind, "dependencies": needs[step.id]}
            (inner / f"{_named(step.id)}.yml").write_text(
                yaml.safe_dump(task | ({"bash_command": "echo 1"} if turn % 3 else {}))
            )
    file = home / "by_gusty.py"
    file.write_text(GUSTY)
    return file


def _blueprint(home: Path, plan: Shape, count: int) -> Path:
    loose, groups, edges = graph(plan)
    stage = {step.id: step.stage or step.id for step in plan.steps}
    after: dict[str, list[str]] = {name: [] for name in stage.values()}
    for one, two in edges:
        if stage[one] != stage[two] and stage[one] not in after[stage[two]]:
            after[stage[two]].append(stage[one])
    inner = {name: [[a, b] for a, b in edges if stage[a] == stage[b] == name] for name in groups}
    steps: dict[str, dict[str, object]] = {name: {"blueprint": "one"} for name in loose}
    for name, names in groups.items():
        pairs = [[task.removeprefix(f"{name}.") for task in pair] for pair in inner[name]]
        steps[name] = {"blueprint": "stage", "names": names, "inner": pairs}
    for name, before in after.items():
        steps[name]["depends_on"] = before
    folder = home / "blueprint"
    folder.mkdir()
    for number in range(count):
        spec = {"dag_id": f"blueprint_{number}", "steps": steps}
        (folder / f"{number}.dag.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    (folder / "templates.py").write_text(TEMPLATES)
    file = home / "by_blueprint.py"
    file.write_text(BLUEPRINT)
    return file
