"""From a folder of specs to DAGs in a module: what ``dags/relman_releases.py`` calls.

One broken spec hurts nobody else: nothing is raised for a spec. When Airflow runs a task it says which DAG
it wants, and then only that one is built, from the one file that its id names.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from airflow.sdk import DAG, get_parsing_context

from relman_plugins import settings
from relman_plugins.domain.identity import MAINTENANCE_DAG_ID, ROLLBACK_DAG_ID, dag_id_of, train_dag_id_of
from relman_plugins.errors import SpecError
from relman_plugins.factory.builder import build_dag
from relman_plugins.factory.cache import Cache, Compiled
from relman_plugins.factory.catalog import DEPART, MAINTENANCE, OPERATORS, ROLLBACK, Catalog, OperatorType
from relman_plugins.plan.remembered import pipelines, recall
from relman_plugins.spec.files import pipeline_files

log = logging.getLogger(__name__)


class LoadResult(NamedTuple):
    """What a load found, for tests and the log."""

    valid: tuple[str, ...]
    """Ids of the DAGs of valid specs."""
    invalid: tuple[str, ...]
    """Ids of the sentinels."""


def specs_folder(default: Path) -> Path:
    """Return the folder of the specs: ``[relman] specs_folder``, else ``RELMAN_SPECS``, else ``default``."""
    return settings.specs_base() or default


def load_dags(
    namespace: MutableMapping[str, Any],
    folder: Path,
    *,
    catalog: Catalog = OPERATORS,
    maintenance_operator: str | OperatorType = MAINTENANCE,
    rollback_operator: str | OperatorType = ROLLBACK,
    train_operator: str | OperatorType = DEPART,
) -> LoadResult:
    """Build the DAG of every spec in ``folder``, its train's, and relman's own two, into ``namespace`` by id.

    With a parsing context only the wanted DAG is built. A spec with errors gives a sentinel. Writes one line
    to the log.

    Args:
        namespace: The globals of a module in Airflow's DAG folder.
        folder: Where the specs are; a missing folder means none.
        catalog: The operator of each kind of step.
        maintenance_operator: The operator of ``relman_maintenance``.
        rollback_operator: The operator of ``relman_rollback``.
        train_operator: The operator of the DAGs of trains.
    """
    began = time.perf_counter()
    wanted = get_parsing_context().dag_id
    valid: list[str] = []
    invalid: list[str] = []
    with _without_collection(for_good=wanted is not None):
        for dag, ok in _from_files(_files(folder, wanted), wanted, catalog, train_operator):
            namespace[dag.dag_id] = dag
            if not _is_train(dag.dag_id):
                (valid if ok else invalid).append(dag.dag_id)
        for dag in _in_flight(wanted, namespace, catalog):
            namespace[dag.dag_id] = dag
    if wanted in (None, MAINTENANCE_DAG_ID, ROLLBACK_DAG_ID):
        from relman_plugins.factory.maintenance import build_maintenance
        from relman_plugins.factory.rollback import build_rollback

        own: dict[str, Callable[[], DAG]] = {
            MAINTENANCE_DAG_ID: lambda: build_maintenance(folder, maintenance_operator),
            ROLLBACK_DAG_ID: lambda: build_rollback(rollback_operator),
        }
        for dag_id in own if wanted is None else (wanted,):
            dag, _ = _guarded(dag_id, own[dag_id])
            namespace[dag.dag_id] = dag
    milliseconds = (time.perf_counter() - began) * 1000
    specs = len(valid) + len(invalid)
    log.info("relman: %d specs, %d valid, %d invalid, %.0f ms", specs, len(valid), len(invalid), milliseconds)
    return LoadResult(tuple(valid), tuple(invalid))


def _from_files(
    files: Sequence[Path], wanted: str | None, catalog: Catalog, train_operator: str | OperatorType
) -> Iterator[tuple[DAG, bool]]:
    """Yield the DAGs of each file, and whether its spec is right."""
    with Cache(settings.compiled_folder() if files else None) as cache:
        compiled = _compiler(cache)
        for file in files:
            yield from _from_file(file, compiled, wanted, catalog, train_operator)


def _from_file(
    file: Path,
    compiled: Callable[[Path], Compiled],
    wanted: str | None,
    catalog: Catalog,
    train_operator: str | OperatorType,
) -> Iterator[tuple[DAG, bool]]:
    """Yield the pipeline's DAG, and its train's where something starts by itself; or the wanted one."""
    kept: list[Compiled] = []

    def only() -> Compiled:
        if not kept:
            kept.append(compiled(file))
        return kept[0]

    if wanted is None or not _is_train(wanted):
        yield _guarded(file.stem, lambda: _built(only(), catalog))
    if _is_train(wanted) if wanted is not None else kept and kept[0].shape.schedule is not None:
        from relman_plugins.factory.train import build_train  # most pipelines start by hand

        yield _guarded(file.stem, lambda: build_train(only().shape, train_operator))


def _is_train(dag_id: str) -> bool:
    return dag_id.startswith(train_dag_id_of(""))


def _compiler(cache: Cache) -> Callable[[Path], Compiled]:
    """Return what compiles the specs of one load, as far as that was not done before."""
    shared: Any = None

    def compiled(file: Path) -> Compiled:
        nonlocal shared
        if (found := cache.recall(file)) is not None:
            return found
        # Models and rules are most of what importing relman costs, and a task whose spec was compiled before
        # needs none of them.
        from relman_plugins.factory.pipeline import Shared, compile_pipeline

        shared = shared or Shared()
        return compile_pipeline(file, shared, cache)

    return compiled


def _built(compiled: Compiled, catalog: Catalog) -> DAG:
    if compiled.warnings and get_parsing_context().dag_id is None:  # said once, not in every task's log
        log.warning("relman: %s", compiled.warnings)
    return build_dag(compiled.shape, {}, catalog=catalog, docs=compiled.docs)


def _in_flight(wanted: str | None, namespace: MutableMapping[str, Any], catalog: Catalog) -> list[DAG]:
    """Build the DAGs of pipelines with releases in flight whose specs are broken or gone."""
    dags = []
    remembered = settings.shapes_folder()
    for pipeline in pipelines(remembered):
        dag_id = dag_id_of(pipeline)
        if wanted not in (None, dag_id) or dag_id in namespace:
            continue
        shape = recall(remembered, pipeline)
        if shape is None:
            log.error("relman: the remembered shape of %s cannot be read; its releases wait", pipeline)
            continue
        try:
            dags.append(build_dag(shape, {}, catalog=catalog, in_flight_only=True))
        except Exception:
            log.exception("relman: the DAG for the releases of %s in flight could not be built", pipeline)
    return dags


def _files(folder: Path, wanted: str | None) -> list[Path]:
    if wanted is None:
        files = pipeline_files(folder)
        if not files:
            log.warning(
                "relman: no release specs in %s; put <pipeline>.yaml there, or set RELMAN_SPECS", folder
            )
        return files
    for prefix in (dag_id_of(""), train_dag_id_of("")):
        if wanted.startswith(prefix):
            file = folder / f"{wanted.removeprefix(prefix)}.yaml"
            return [file] if file.parent == folder and file.is_file() else []
    from relman_plugins.factory.sentinel import sentinel_id

    return [f for f in pipeline_files(folder) if sentinel_id(f.stem) == wanted]


@contextmanager
def _without_collection(*, for_good: bool) -> Iterator[None]:
    """Keep the garbage collector from walking again and again over DAGs that stay: a fifth of the time.

    What was made meanwhile counts as old afterwards, or the next object made would have all of it walked
    over. In the process of one task all that is there stays ``for_good``. Only what comes later is looked at:
    a walk over all of Airflow takes a tenth of a second.
    """
    was_on = gc.isenabled()
    frozen_before = gc.get_freeze_count() > 0  # whoever froze something before a fork wants it left alone
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            if not for_good and not frozen_before:
                gc.unfreeze()
            gc.enable()


def _guarded(stem: str, build: Callable[[], DAG]) -> tuple[DAG, bool]:
    try:
        return build(), True
    except Exception as error:
        return _instead(stem, error), False


def _instead(stem: str, error: Exception) -> DAG:
    """Return the sentinel of a spec; called while ``error`` is handled.

    Whatever goes wrong with one spec, an exception would take its siblings' DAGs away.
    """
    from relman_plugins.factory.sentinel import build_sentinel, storable

    if isinstance(error, SpecError):
        log.error("relman: %s.yaml is not valid:\n%s", storable(stem), storable(str(error)))
        return build_sentinel(stem, str(error))
    log.exception("relman: %s could not be built", storable(stem))
    what = f"{stem}: relman itself failed: {type(error).__name__}: {error}"
    return build_sentinel(stem, f"{what}\nThe log of the DAG processor has more.")
