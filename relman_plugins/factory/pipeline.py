"""From one pipeline's file to its DAG."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from relman_plugins.errors import PlanError, SpecError
from relman_plugins.factory.builder import build_dag
from relman_plugins.factory.catalog import Catalog
from relman_plugins.plan.compile import compile_shape
from relman_plugins.spec.api import Loaded, Shared, load_pipeline
from relman_plugins.spec.render import render_text

__all__ = ["MOST_SHOWN", "Shared", "build_pipeline"]

log = logging.getLogger(__name__)

MOST_SHOWN = 50
"""Findings of one spec in the docs of its sentinel, which are parsed and stored with every change."""


def build_pipeline(file: Path, catalog: Catalog, shared: Shared) -> DAG:
    """Read, check and compile the spec in ``file``, and build its DAG. Warnings are logged.

    Args:
        file: the pipeline's file.
        catalog: the operator of each kind of step.
        shared: what the pipelines of one load refer to.

    Raises:
        SpecError: the spec has errors; the message is for people.
    """
    loaded = load_pipeline(file, shared)
    if loaded.documents is None:
        raise SpecError(_rendered(loaded, file.parent.parent), loaded.diagnostics)
    if loaded.diagnostics and get_parsing_context().dag_id is None:  # said once, not in every task's log
        log.warning("relman: %s", _rendered(loaded, file.parent.parent))
    try:
        shape = compile_shape(loaded.documents)
    except PlanError as error:
        raise SpecError(f"{file.name}: {error}") from error
    return build_dag(shape, loaded.documents.texts, catalog=catalog)


def _rendered(loaded: Loaded, base: Path) -> str:
    """Write the diagnostics with paths as people know them, not where this machine keeps the folder."""

    def short(path: str) -> str:
        return path.removeprefix(f"{base}{os.sep}")

    found = [replace(d, path=short(d.path)) for d in loaded.diagnostics]
    if len(found) > MOST_SHOWN:
        found.sort(key=lambda d: not d.is_error)
    sources = {short(path): text for path, text in loaded.sources.items()}
    text = render_text(found, sources, MOST_SHOWN).rstrip()
    more = len(found) - MOST_SHOWN
    return f"{text}\n\n{more} more: `relman validate` shows them all" if more > 0 else text
