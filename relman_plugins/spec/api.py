"""What other rooms use of the spec."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from relman_plugins.spec.diagnostic import Diagnostic, arrange
from relman_plugins.spec.loader import Loaded, load_pipeline
from relman_plugins.spec.models import Documents

__all__ = ["Diagnostic", "Documents", "Loaded", "load_pipeline", "pipeline_files", "validate"]

NOT_PIPELINES = frozenset({"people.yaml"})


def pipeline_files(folder: Path) -> list[Path]:
    """Return the pipeline files at the top of ``folder``, sorted; none if there is no such folder.

    The files are not read: a broken one is listed too.
    """
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.glob("*.yaml") if p.name not in NOT_PIPELINES and not p.name.startswith(".")
    )


def validate(paths: Iterable[Path]) -> tuple[Diagnostic, ...]:
    """Check pipelines, and every document they refer to.

    A folder stands for the pipelines at its top. What two pipelines share is reported once.
    """
    files = [f for path in paths for f in (pipeline_files(path) if path.is_dir() else [path])]
    return arrange(found for file in files for found in load_pipeline(file).diagnostics)
