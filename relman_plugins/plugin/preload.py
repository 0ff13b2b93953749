"""A listener that loads once, and early, what the processes of Airflow would otherwise load again and again.

The scheduler (with the LocalExecutor) and the DAG processor fork a process for each task and each parse.
Modules and models that the parent has are there already in each of them; without, each spends a tenth of a
second on them. They are as they were when the parent started: a new relman needs a restart, as plugins do.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from relman_plugins.domain.base import Frozen

MODULES = (
    "relman_plugins.calendars.gate",
    "relman_plugins.factory.loader",
    "relman_plugins.factory.maintenance",
    "relman_plugins.factory.pipeline",
    "relman_plugins.factory.rollback",
    "relman_plugins.factory.sentinel",
    "relman_plugins.factory.timetable",
    "relman_plugins.factory.train",
    "relman_plugins.hooks.recorder",
    "relman_plugins.ledger.api",
    "relman_plugins.ledger.spool",
    "relman_plugins.operators.depart",
    "relman_plugins.platforms.registry",
    "relman_plugins.spec.models.policy",
    "relman_plugins.steps.form",
    "relman_plugins.steps.process",
    "relman_plugins.steps.tickets",
    "relman_plugins.triggers.analysis",
)
"""What a parse imports, and what nearly every step imports at the moment of use only."""


@hookimpl
def on_starting(component: object) -> None:
    """Load everything when the scheduler, the DAG processor or the triggerer starts.

    Airflow logs what is raised here and goes on; each task then loads for itself, as with other executors.
    """
    # The process of a task is announced too: it has what its parent had, or loads no more than it needs.
    if type(component).__name__ == "Job":
        preload()


def preload() -> None:
    """Import what parses and steps import, and build every model. Idempotent."""
    from relman_plugins.domain.base import Frozen
    from relman_plugins.factory.catalog import MAINTENANCE, OPERATORS, ROLLBACK, operator_type

    for entry in {*OPERATORS.values(), MAINTENANCE, ROLLBACK}:
        operator_type(entry)
    for module in MODULES:
        import_module(module)
    import_module("relman_plugins.factory.cache").code_state()  # as it was when the modules were loaded
    for model in _below(Frozen):
        model.model_rebuild()
    import_module("relman_plugins.plugin.rehearsal").rehearse()


def _below(model: type[Frozen]) -> Iterator[type[Frozen]]:
    for child in model.__subclasses__():
        yield child
        yield from _below(child)
