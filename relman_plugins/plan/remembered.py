"""Shapes of pipelines with releases in flight, kept as files for the day on which a spec breaks.

Airflow stops looking at the runs of a DAG that is not there any more. A release in flight must not stop
because somebody broke or removed its pipeline's file, so the shape it runs is remembered until no release
needs it, and the DAG is built from that.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from relman_plugins.files import replace
from relman_plugins.plan.model import Shape


def remember(folder: Path, shape: Shape) -> None:
    """Write a pipeline's shape; a later one replaces it, in one step."""
    replace(_path(folder, shape.pipeline), shape.model_dump_json().encode())


def recall(folder: Path, pipeline: str) -> Shape | None:
    """Return the remembered shape of a pipeline; None when there is none that can be read."""
    try:
        return Shape.model_validate_json(_path(folder, pipeline).read_bytes())
    except (OSError, ValidationError):
        return None


def pipelines(folder: Path) -> tuple[str, ...]:
    """Return the pipelines whose shapes are remembered, sorted."""
    return tuple(sorted(p.stem for p in folder.glob("*.json"))) if folder.is_dir() else ()


def forget(folder: Path, pipeline: str) -> None:
    """Remove a pipeline's shape; nothing happens when there is none."""
    _path(folder, pipeline).unlink(missing_ok=True)


def _path(folder: Path, pipeline: str) -> Path:
    return folder / f"{pipeline}.json"
