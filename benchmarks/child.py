"""One measurement in a process of its own: ``python -m benchmarks.child WHAT KEY=VALUE …`` prints JSON.

What every DAG file pays (Airflow, its operators) is imported before the clock starts; what only relman or a
peer pays is measured by itself. The clock counts the processor's time of this process: a busy machine changes
it little, and everything measured here computes rather than waits.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import runpy
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

FLOOR = (
    "airflow.sdk",
    "airflow.sdk.configuration",
    "airflow.sdk.definitions.param",
    "airflow.dag_processing.dagbag",
    "airflow.serialization.serialized_objects",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.python",
)
"""Imported before anything is measured."""

CONTEXT = "_AIRFLOW_PARSING_CONTEXT_DAG_ID"
"""How Airflow tells a DAG file which DAG a task needs."""


def parse(file: str, preload: str = "", serialise: str = "") -> dict[str, Any]:
    """Parse a DAG file as the DAG processor does; with ``serialise``, also write what it found as JSON.

    With ``preload``, what relman loads when the DAG processor starts is there: each parse is a fork of it.
    """
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    if preload:
        _preload()
    began = time.process_time()
    bag = DagBag(dag_folder=file, safe_mode=False)
    parsed = time.process_time()
    assert not bag.import_errors, bag.import_errors
    assert bag.dags, f"no DAG in {file}"
    size = sum(len(json.dumps(DagSerialization.to_dict(d))) for d in bag.dags.values()) if serialise else 0
    done = time.process_time()
    return {
        "parse": parsed - began,
        "serialise": done - parsed,
        "dags": sum(not dag_id.startswith("relman_") for dag_id in bag.dags),
        "tasks": max(len(dag.task_dict) for dag in bag.dags.values()),
        "empty": sum(t.inherits_from_empty_operator for d in bag.dags.values() for t in d.tasks),
        "bytes": size,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def task(file: str, dag_id: str, preload: str = "") -> dict[str, Any]:
    """Parse a DAG file as the process of one task of ``dag_id`` does, with what it imports.

    With ``preload``, what relman loads when the scheduler starts is there, as with the LocalExecutor.
    """
    os.environ[CONTEXT] = dag_id
    if preload:
        _preload()
    began = time.process_time()
    found = runpy.run_path(file)
    took = time.process_time() - began
    assert found[dag_id].dag_id == dag_id
    return {"parse": took}


def _preload() -> None:
    from relman_plugins.plugin.preload import preload

    preload()


def imported(module: str) -> dict[str, Any]:
    """Import a module over what every DAG file imports."""
    before = set(sys.modules)
    began = time.process_time()
    import_module(module)
    took = time.process_time() - began
    heavy = ("kubernetes", "slack_sdk", "airflow.providers.slack", "airflow.providers.cncf")
    return {"import": took, "heavy": sorted(m for m in set(sys.modules) - before if m.startswith(heavy))}


def main() -> None:
    """Run what the command line says."""
    logging.disable(logging.WARNING)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    what, *arguments = sys.argv[1:]
    for module in FLOOR:
        import_module(module)
    done = {"parse": parse, "task": task, "imported": imported}[what](
        **dict(argument.split("=", 1) for argument in arguments)
    )
    print(json.dumps(done))


if __name__ == "__main__":
    main()
