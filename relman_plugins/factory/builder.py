"""From a plan's shape to a DAG. Deterministic: the same shape and texts serialise to the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, AssetAlias, BaseOperator, TaskGroup, TriggerRule

from relman_plugins.domain.identity import PROMOTIONS, dag_id_of
from relman_plugins.factory.catalog import OPERATORS, Catalog, operator_type
from relman_plugins.factory.docs import Docs, documented, stage_tooltip
from relman_plugins.factory.params import release_params
from relman_plugins.plan import words
from relman_plugins.plan.model import INVALID_TAG, Shape, Step, StepKind

RETRIES = 3
RETRY_DELAY = timedelta(seconds=3)
_NEVER_RETRIED = (StepKind.SUITE,)
"""How often tests run again is the spec's to say, also when they broke off with their worker. A build that
a worker took along begins anew: the same output is the same artifact. A command's no is final everywhere."""

_POOLED = (
    StepKind.PROVISION,
    StepKind.DEPLOY,
    StepKind.ROLL,
    StepKind.PREVIEW,
    StepKind.SHIFT,
    StepKind.SUITE,
    StepKind.MONITOR,
    StepKind.KEEP,
)
"""What works in an environment and takes slots of its pool. People's answers don't, and a rollback or a
teardown must never wait for others' work."""

GOING_BACK_FIRST = 10
"""Priority of a rollback among the tasks that wait for a worker; all others have 1.

Weights are absolute. Airflow's default adds up what comes after a task, so that of two releases the one that
has just begun would get each slot of a pool before the one that holds the environment. With equal weights
the older run goes first."""

MAX_ACTIVE_RUNS = 16
"""Releases of one pipeline overlap: a parked one must not hold up the next, and the lock in the ledger lets
one at a time change an environment. The number only keeps a mistake from starting hundreds. Runs that only
ask for follow-ups count, too, so a pipeline that asks for them may have four times as many."""


_PROMOTIONS = AssetAlias(PROMOTIONS)
"""Which asset is updated is said when it is: see ``steps.promotions``."""


def build_dag(
    shape: Shape,
    texts: Mapping[str, str],
    *,
    catalog: Catalog = OPERATORS,
    docs: Docs | None = None,
    in_flight_only: bool = False,
) -> DAG:
    """Build and validate the DAG of a pipeline.

    Args:
        shape: What the spec decides.
        texts: The spec's documents for the DAG's docs, by path.
        catalog: The operator of each kind of step.
        docs: The docs, if they are there already.
        in_flight_only: The spec is broken or gone: the DAG is there for releases in flight, and starts none.

    Raises:
        ImportError: An operator of the catalogue cannot be imported.
        AirflowException: Airflow would refuse the DAG.
    """
    docs = docs or documented(shape, texts)
    dag = DAG(
        dag_id_of(shape.pipeline),
        description=shape.description or None,
        # A train starts runs of this DAG with a version, as people do.
        schedule=None,
        catchup=False,
        max_active_runs=MAX_ACTIVE_RUNS * (4 if shape.asks_afterwards else 1),
        is_paused_upon_creation=False,
        default_args={"owner": shape.owner},
        tags=["relman", shape.owner[:100], *([INVALID_TAG] if in_flight_only else [])],
        doc_md=docs.dag,
    )
    _connect(shape, _tasks(shape, dag, catalog, docs.tasks))
    # Params that exist before the tasks are copied into each of them and validated there again.
    dag.params = release_params(shape)
    # Cycles are looked for by whoever takes the DAG; a plan has none.
    dag.validate()  # type: ignore[no-untyped-call]
    return dag


def _tasks(shape: Shape, dag: DAG, catalog: Catalog, docs: Mapping[str, str]) -> dict[str, BaseOperator]:
    groups = {
        name: TaskGroup(name, dag=dag, tooltip=stage_tooltip(shape, steps))
        for name, steps in words.stages(shape)
    }
    return {
        step.id: operator_type(catalog[step.kind])(
            task_id=words.short_id(step),
            task_group=groups[step.stage] if step.stage else dag.task_group,
            dag=dag,
            step_id=step.id,
            shape=shape,
            doc_md=docs[step.id],
            **_behaviour(shape, step),
            **_share(shape, step),
        )
        for step in shape.steps
    }


def _behaviour(shape: Shape, step: Step) -> dict[str, Any]:
    # A suite in a cluster outlives its worker: another try of the task goes on with the same Jobs.
    never = step.kind in _NEVER_RETRIED and not step.args.get("pod")
    kwargs: dict[str, Any] = {"retries": 0 if never else RETRIES}
    if kwargs["retries"]:
        kwargs["retry_delay"] = RETRY_DELAY
    if step.kind is StepKind.ROLLBACK:
        kwargs["trigger_rule"] = TriggerRule.ONE_FAILED
    if shape.promotes(step):
        kwargs["outlets"] = [_PROMOTIONS]
    return kwargs


def _share(shape: Shape, step: Step) -> dict[str, Any]:
    """Return how the task competes with others for workers and slots."""
    first = GOING_BACK_FIRST if step.kind is StepKind.ROLLBACK else 1
    kwargs: dict[str, Any] = {"weight_rule": "absolute", "priority_weight": first}
    environment = shape.environment(step.environment) if step.environment else None
    if environment and environment.pool and step.kind in _POOLED:
        kwargs |= {"pool": environment.pool, "pool_slots": environment.slots}
    return kwargs


def _connect(shape: Shape, tasks: dict[str, BaseOperator]) -> None:
    for step in shape.steps:
        # What `set_upstream` comes to between tasks of one DAG; it hashes the whole DAG for every edge.
        for need in step.needs:
            tasks[need].downstream_task_ids.add(step.id)
            tasks[step.id].upstream_task_ids.add(need)
        if step.kind is StepKind.TEARDOWN:
            tasks[step.id].as_teardown(setups=tasks[f"{step.stage}.provision"])
        elif step.kind is StepKind.CLOSE:
            tasks[step.id].as_teardown(setups=tasks["open"], on_failure_fail_dagrun=True)
        elif step.kind is StepKind.FOLLOW_UP:
            # A teardown, too: it runs however the release ended, and `close` alone decides the run's colour.
            tasks[step.id].as_teardown(setups=tasks["open"])
