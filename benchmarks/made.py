"""The measured release: 30 tasks in 8 stages, as specs and as a file that somebody wrote by hand."""

from __future__ import annotations

from pathlib import Path

from relman_plugins.plan.compile import compile_shape
from relman_plugins.plan.model import Shape
from relman_plugins.spec.api import load_pipeline

TASKS, GROUPS = 30, 8

PIPELINE = """\
# yaml-language-server: $schema=release-pipeline.schema.json
apiVersion: relman/v1
kind: ReleasePipeline
metadata: {{name: {name}, owner: team-payments, description: Card payments of the example shop}}

artifact:
  source: src
  build: [python, build.py]
  timeout: 5m

suites:
  unit: {{command: [python, -m, pytest, -q, tests/unit, --junit-xml, r.xml], junit: r.xml, timeout: 2m}}
  contract: {{command: [python, -m, pytest, -q, tests/contract, --junit-xml, r.xml], junit: r.xml}}
  load: {{command: [python, -m, pytest, -q, tests/load, --junit-xml, r.xml], junit: r.xml, timeout: 1h}}
  security: {{command: [python, -m, pytest, -q, tests/security, --junit-xml, r.xml], junit: r.xml}}
  smoke: {{command: [python, -m, pytest, -q, tests/smoke, --junit-xml, r.xml], junit: r.xml, min_tests: 3}}

analyses:
  golden-signals:
    connection: relman_metrics
    metrics:
      - name: error-rate
        query: sum(rate(errors_total{{service="$service",version="$version"}}[1m]))
        max: 0.01
        samples: sum(increase(requests_total{{service="$service",version="$version"}}[1m]))
        min_samples: 50
        unit: ratio
      - name: p95-latency
        query: histogram_quantile(0.95, sum by (le) (rate(seconds_bucket{{version="$version"}}[1m])))
        max: 0.5
        unit: s

stages:
  - environment: qa
    suites: [unit, contract]
  - environment: integration
    suites: [contract]
  - environment: performance
    suites: [load]
  - environment: security
    suites: [security]
  - environment: acceptance
    gates: [{{approval: product-owners, timeout: 3d}}]
    suites: [smoke]
  - environment: staging
    suites: [smoke]
  - environment: pilot
    gates: [{{approval: release-managers, quorum: 2}}]
    strategy:
      canary: {{steps: [10, 50, 100], analysis: golden-signals, interval: 1m, count: 5}}
    monitor: {{for: 1h, analysis: golden-signals}}
  - environment: production
    gates: [{{approval: release-managers, quorum: 2}}]

notify: {{slack: "#rel-{name}"}}
{more}"""

FIELD = '  field_{n}: {{description: "What to do about {n}", default: nothing}}\n'
OWN_FIELDS = 6
"""Fields that every trigger form of relman has."""

ENVIRONMENT = """\
apiVersion: relman/v1
kind: Environment
metadata: {{name: {name}, owner: platform, description: Where {name} happens}}
platform: sandbox
connection: relman_sandbox
replicas: 2
config: {{LOG_LEVEL: info}}
{more}
"""
WINDOWS = 'windows: [{days: [mon, tue, wed, thu], from: "09:00", to: "16:00", zone: Europe/Berlin}]'
ENVIRONMENTS = {
    "qa": "ephemeral: true",
    **dict.fromkeys(("integration", "performance", "security", "acceptance", "staging"), ""),
    "pilot": WINDOWS,
    "production": WINDOWS,
}

PEOPLE = """\
apiVersion: relman/v1
kind: People
people:
  alice: {airflow: alice, slack: U01ALICE, name: Alice Example}
  bob: {airflow: bob, slack: U02BOB, name: Bob Example}
  carol: {airflow: carol, name: Carol Example}
groups:
  release-managers: [alice, bob, carol]
  product-owners: [bob, carol]
"""

LOADER = """\
# airflow dag
from pathlib import Path
from relman_plugins.factory.loader import load_dags
load_dags(globals(), Path(__file__).parent / "release_specs")
"""

HAND = '''\
"""{count} DAGs of {tasks} tasks, the way one writes them without relman."""

from datetime import datetime
from itertools import count

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param, TaskGroup, get_parsing_context

GROUPS = {groups!r}
LOOSE = {loose!r}
EDGES = {edges!r}
FIELDS = {fields!r}


def work():
    return 1


def make(task_id, turn):
    kind = next(turn) % 3
    if kind == 0:
        return EmptyOperator(task_id=task_id)
    if kind == 1:
        return PythonOperator(task_id=task_id, python_callable=work)
    return BashOperator(task_id=task_id, bash_command="echo {{{{ params.version }}}}")


wanted = get_parsing_context().dag_id
for number in range({count}):
    dag_id = f"hand_{{number}}"
    if wanted not in (None, dag_id):
        continue
    with DAG(
        dag_id,
        schedule=None,
        start_date=datetime(2025, 1, 1),
        catchup=False,
        is_paused_upon_creation=False,
        tags=["release"],
        params={{
            "version": Param("1.0.0", "Version to release.", type="string"),
            **{{name: Param("", "A field.", type=["null", "string"], title=name) for name in FIELDS}},
        }},
    ) as dag:
        turn = count()
        tasks = {{name: make(name, turn) for name in LOOSE}}
        for group_id, names in GROUPS.items():
            with TaskGroup(group_id):
                tasks |= {{f"{{group_id}}.{{name}}": make(name, turn) for name in names}}
        for before, after in EDGES:
            tasks[before] >> tasks[after]
    globals()[dag_id] = dag
'''


def specs(home: Path, count: int, fields: int = OWN_FIELDS) -> Path:
    """Write ``count`` pipelines with ``fields`` in their forms, and what they share; return the DAG file."""
    folder = home / "release_specs"
    (folder / "environments").mkdir(parents=True)
    (folder / "src").mkdir()
    for name, more in ENVIRONMENTS.items():
        (folder / "environments" / f"{name}.yaml").write_text(ENVIRONMENT.format(name=name, more=more))
    (folder / "people.yaml").write_text(PEOPLE)
    own = "".join(FIELD.format(n=n) for n in range(fields - OWN_FIELDS))
    more = f"parameters:\n{own}" if own else ""
    for number in range(count):
        (folder / f"p{number}.yaml").write_text(PIPELINE.format(name=f"p{number}", more=more))
    loader = home / "relman_dags.py"
    loader.write_text(LOADER)
    return loader


def shape(home: Path) -> Shape:
    """Return the plan of one of the pipelines that :func:`specs` wrote."""
    loaded = load_pipeline(home / "release_specs" / "p0.yaml")
    assert loaded.documents is not None, loaded.diagnostics
    from_spec = compile_shape(loaded.documents)
    assert len(from_spec.steps) == TASKS
    assert len({s.stage for s in from_spec.steps if s.stage}) == GROUPS
    return from_spec


def graph(plan: Shape) -> tuple[list[str], dict[str, list[str]], list[tuple[str, str]]]:
    """Return the tasks outside of groups, those of each group, and the edges."""
    loose = [s.id for s in plan.steps if s.stage is None]
    groups: dict[str, list[str]] = {}
    for step in plan.steps:
        if step.stage:
            groups.setdefault(step.stage, []).append(step.id.removeprefix(f"{step.stage}."))
    return loose, groups, [(need, s.id) for s in plan.steps for need in s.needs]


def hand(home: Path, plan: Shape, count: int, fields: int = 0) -> Path:
    """Write ``count`` DAGs of the same tasks, groups and edges by hand, with ``1 + fields`` params."""
    loose, groups, edges = graph(plan)
    names = [f"field_{n}" for n in range(fields)]
    text = HAND.format(count=count, tasks=TASKS, loose=loose, groups=groups, edges=edges, fields=names)
    file = home / f"hand_{count}_{fields}.py"
    file.write_text(text)
    return file
