"""The DAG that lets a pipeline's train depart."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DAG

from relman_plugins.domain.departure import TOO_LATE
from relman_plugins.domain.identity import dag_id_of, train_dag_id_of
from relman_plugins.factory.catalog import DEPART, OperatorType, operator_type
from relman_plugins.plan.model import Shape

if TYPE_CHECKING:
    from airflow.sdk import AssetOrTimeSchedule

    from relman_plugins.factory.timetable import TrainTimetable

RETRY_DELAY = timedelta(minutes=2)
"""How often what is away is looked for again."""
RETRIES = TOO_LATE // RETRY_DELAY
"""For a lost worker, and an Airflow that can't start the run: as long as a departure is made up for."""

MAX_ACTIVE_RUNS = 128
"""Departures that may wait side by side: what departs each hour and is announced days ahead has many."""

_DOCS = """\
Starts releases of **{pipeline}** by itself: {what}.

One run is one departure. It starts a run of `{dag_id}` with the version, as a person would, and that opens
the release. Where there is nothing new, or somebody holds the train, its task is skipped and says why.

    relman train show {pipeline}
    relman train add VERSION --train {pipeline} --reason "…"
    relman train hold {pipeline} --reason "…"
    relman train skip {pipeline} --reason "…"

Pausing this DAG stops the train, too, and nobody learns why. A run by hand starts nothing.
"""


def _by_events(timetable: TrainTimetable) -> AssetOrTimeSchedule:
    """Return what starts a run with each event, and tells Airflow and relman's API of the train."""
    from airflow.sdk import Asset, AssetAny, AssetOrTimeSchedule

    assets = AssetAny(*(Asset(name) for name in timetable.train.departs.assets))
    return AssetOrTimeSchedule(timetable=timetable, assets=assets)  # type: ignore[arg-type]


def build_train(shape: Shape, operator: str | OperatorType = DEPART) -> DAG:
    """Build the ``train__<pipeline>`` DAG of a shape with a schedule.

    Raises:
        ImportError: The operator cannot be imported.
    """
    # Airflow's own timetables and all calendars: only pipelines with a schedule pay for them.
    from relman_plugins.factory.timetable import TrainTimetable

    timetable = TrainTimetable(shape.schedule or {})
    what = timetable.train.describe()
    dag = DAG(
        train_dag_id_of(shape.pipeline),
        description=f"Train of {shape.pipeline}: {what}"[:1000],
        schedule=_by_events(timetable) if timetable.train.departs.assets else timetable,
        catchup=False,
        max_active_runs=MAX_ACTIVE_RUNS,
        is_paused_upon_creation=False,
        default_args={"owner": shape.owner},
        tags=["relman", "relman-train", shape.owner[:100]],
        doc_md=_DOCS.format(pipeline=shape.pipeline, dag_id=dag_id_of(shape.pipeline), what=what),
    )
    operator_type(operator)(task_id="depart", shape=shape, retries=RETRIES, retry_delay=RETRY_DELAY, dag=dag)
    return dag
