"""Where the files that a spec names are, on the machine that runs the step."""

from __future__ import annotations

from pathlib import Path

from relman_plugins import settings


def specs_folder(dag_file: str) -> Path:
    """Return the folder of the specs: the configured one, or ``release_specs`` beside the DAG folder."""
    return settings.specs_base() or Path(dag_file).resolve().parent.parent / "release_specs"


def spec_path(relative: str, dag_file: str) -> Path:
    """Return the file or folder that a spec names relative to itself."""
    return (specs_folder(dag_file) / relative).resolve()
