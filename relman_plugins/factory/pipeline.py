"""From one pipeline's file to what its DAG is built from."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from relman_plugins.errors import PlanError, SpecError
from relman_plugins.factory.cache import Cache, Compiled
from relman_plugins.factory.docs import documented
from relman_plugins.plan.compile import compile_shape
from relman_plugins.spec.api import Loaded, Shared, load_pipeline
from relman_plugins.spec.render import render_text

__all__ = ["MOST_SHOWN", "Shared", "compile_pipeline"]

MOST_SHOWN = 50
"""Findings of one spec in the docs of its sentinel, which are parsed and stored with every change."""


def compile_pipeline(file: Path, shared: Shared, cache: Cache) -> Compiled:
    """Read, check and compile the spec in ``file``, and keep what it came to.

    Args:
        file: the pipeline's file.
        shared: what the pipelines of one load refer to.
        cache: where it is kept for the next load.

    Raises:
        SpecError: the spec has errors; the message is for people.
    """
    loaded = load_pipeline(file, shared)
    if loaded.documents is None:
        raise SpecError(_rendered(loaded, file.parent.parent), loaded.diagnostics)
    try:
        shape = compile_shape(loaded.documents)
    except PlanError as error:
        raise SpecError(f"{file.name}: {error}") from error
    warnings = _rendered(loaded, file.parent.parent) if loaded.diagnostics else ""
    texts = loaded.documents.texts
    compiled = Compiled(shape, documented(shape, texts), warnings)
    cache.keep(file, compiled, texts, loaded.files)
    return compiled


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
