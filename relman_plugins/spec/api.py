"""What other rooms use of the spec."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from relman_plugins.domain.identity import Person
from relman_plugins.spec.diagnostic import Diagnostic, arrange
from relman_plugins.spec.files import NOT_PIPELINES, pipeline_files
from relman_plugins.spec.loader import PEOPLE, Loaded, Shared, load_pipeline
from relman_plugins.spec.models import Documents, People
from relman_plugins.spec.shape import validated
from relman_plugins.spec.source import read

__all__ = [
    "NOT_PIPELINES",
    "Checked",
    "Diagnostic",
    "Documents",
    "Loaded",
    "Shared",
    "check",
    "load_pipeline",
    "person_of",
    "pipeline_files",
    "validate",
]


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of checking pipelines."""

    diagnostics: tuple[Diagnostic, ...]
    """Errors and warnings, sorted by place."""
    sources: dict[str, str]
    """Text of every file that was read, by the path its diagnostics name."""


def person_of(folder: Path, airflow_user: str) -> Person | None:
    """Return who started a run, by ``people.yaml``; None when nobody says, or the file is not right.

    ``airflow_user`` is the name that Airflow tells of whoever did.
    """
    found = read(folder / PEOPLE, folder)
    people = validated(found.document, People)[0] if found.document is not None else None
    if people is None:
        return None
    return people.starter(airflow_user)


def check(paths: Iterable[Path]) -> Checked:
    """Check pipelines, and every document they refer to.

    A folder stands for the pipelines at its top. What two pipelines share is reported once.
    """
    found: list[Diagnostic] = []
    sources: dict[str, str] = {}
    shared = Shared()
    for file in (f for path in paths for f in (pipeline_files(path) if path.is_dir() else [path])):
        loaded = load_pipeline(file, shared)
        found += loaded.diagnostics
        sources |= loaded.sources
    return Checked(arrange(found), sources)


def validate(paths: Iterable[Path]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of :func:`check`."""
    return check(paths).diagnostics
