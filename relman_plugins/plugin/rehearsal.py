"""One small spec, read, checked, compiled and built into a DAG, and forgotten.

What runs for the first time in a process is dear: patterns are compiled, Airflow and Python learn the types
they meet. A parse is a fork of the DAG processor, and finds there what this has done.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

SPECS = {
    "rehearsal.yaml": """\
apiVersion: relman/v1
kind: ReleasePipeline
metadata: {name: rehearsal, owner: relman, description: Never released}
artifact: {source: ., build: [python, build.py], timeout: 5m}
suites:
  unit: {command: [python, -m, pytest], junit: report.xml, timeout: 2m, env: {LOG_LEVEL: info}}
analyses:
  errors:
    connection: relman_metrics
    metrics: [{name: rate, query: 'sum(rate(errors{version="$version"}[1m]))', max: 0.01, unit: ratio}]
parameters: {reason: {description: Why, default: none}}
stages:
  - {environment: qa, suites: [unit]}
  - environment: production
    gates: [{approval: managers, quorum: 1, timeout: 1h}]
    strategy: {canary: {steps: [10, 100], analysis: errors, interval: 1m, count: 2}}
    monitor: {for: 1h, analysis: errors}
notify: {slack: "#releases"}
""",
    "environments/qa.yaml": """\
apiVersion: relman/v1
kind: Environment
metadata: {name: qa, owner: relman}
platform: sandbox
connection: relman_sandbox
replicas: 2
ephemeral: true
config: {LOG_LEVEL: info}
""",
    "environments/production.yaml": """\
apiVersion: relman/v1
kind: Environment
metadata: {name: production, owner: relman}
platform: sandbox
connection: relman_sandbox
replicas: 2
windows: [{days: [mon], from: "09:00", to: "16:00", zone: UTC}]
""",
    "people.yaml": """\
apiVersion: relman/v1
kind: People
people: {first: {airflow: first, slack: U01FIRST}, second: {airflow: second}}
groups: {managers: [first, second]}
""",
}


def rehearse() -> None:
    """Do once what a parse does. Keeps nothing: neither on disk nor in Airflow.

    Raises:
        OSError: there is no folder for temporary files.
        SpecError: the spec has errors; the tests would have said so.
    """
    from relman_plugins.factory.builder import build_dag
    from relman_plugins.factory.cache import Cache
    from relman_plugins.factory.pipeline import Shared, compile_pipeline

    with TemporaryDirectory(prefix="relman-") as folder:
        for name, text in SPECS.items():
            file = Path(folder, name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        compiled = compile_pipeline(Path(folder, "rehearsal.yaml"), Shared(), Cache(None))
        build_dag(compiled.shape, {}, docs=compiled.docs)
