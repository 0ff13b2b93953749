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
ADD = "python -m pip install dag-factory gusty"

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


def installed() -> list[str]:
    """Return the peers that can be imported."""
    return [name for name, module in (("dag-factory", "dagfactory"), ("gusty", "gusty")) if find_spec(module)]


def said() -> str:
    """Say which peers are measured, and how to add the others."""
    found = installed()
    return f"beside: {', '.join(found) or 'nobody'}" + ("" if len(found) == 2 else f"; more: {ADD}")


def files(home: Path, plan: Shape, count: int) -> dict[str, Path]:
    """Write ``count`` DAGs of the plan's tasks, groups and edges for every peer that is there."""
    (home / "work.py").write_text("def work():\n    return 1\n")
    makers = {"dag-factory": _dag_factory, "gusty": _gusty}
    return {name: makers[name](home, plan, count) for name in installed()}


def _kind(number: int, here: Path) -> dict[str, str]:
    return {key: value.format(here=here) for key, value in KINDS[number % 3].items()}


def _needs(plan: Shape) -> dict[str, list[str]]:
    return {step.id: list(step.needs) for step in plan.steps}


def _dag_factory(home: Path, plan: Shape, count: int) -> Path:
    _, groups, _ = graph(plan)
    needs = _needs(plan)
    tasks = []
    for number, step in enumerate(plan.steps):
        task = {"task_id": step.id.rpartition(".")[2], **_kind(number, home), "dependencies": needs[step.id]}
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
            name = step.id.rpartition(".")[2]
            kind = (
                "airflow.providers.standard.operators.bash.BashOperator" if turn % 3 else KINDS[0]["operator"]
            )
            task = {"operator": kind, "dependencies": [n.rpartition(".")[2] for n in needs[step.id]]}
            (inner / f"{name}.yml").write_text(
                yaml.safe_dump(task | ({"bash_command": "echo 1"} if turn % 3 else {}))
            )
    file = home / "by_gusty.py"
    file.write_text(GUSTY)
    return file
