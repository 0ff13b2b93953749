"""Options that several commands share, and the forms in which results are printed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from relman_plugins.cli import complete
from relman_plugins.cli.exits import Exit, Stop

Interval = Annotated[float, typer.Option("--interval", min=0.1, max=60, help="Seconds between looks.")]


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


class ValidateFormat(StrEnum):
    """How diagnostics are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


class PlanFormat(StrEnum):
    """How a plan is printed."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"


AnyFormat = Annotated[Format, typer.Option("--format", help="How results are printed.")]
Release = Annotated[
    str,
    typer.Argument(
        help="Release id, as `relman status` shows it.", autocompletion=complete.releases, show_default=False
    ),
]
OpenRelease = Annotated[
    str,
    typer.Argument(
        help="Release id, as `relman status` shows it.",
        autocompletion=complete.open_releases,
        show_default=False,
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", help="Said in Slack and kept in the ledger.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation at a terminal.")]


def must_be_file(path: Path, wanted: str) -> None:
    """End the command unless there is such a file; ``wanted`` says what to give instead of a folder."""
    if path.is_dir():
        raise Stop(Exit.USAGE, f"{path} is a folder; give {wanted}")
    if not path.is_file():
        raise Stop(Exit.USAGE, f"{path}: no such file")


def pipeline_file(path: Path) -> Path:
    """Return the pipeline's file that is meant: the path, or of a mere name the file in the specs' folder."""
    named = complete.specs_folder() / f"{path}.yaml"
    if not path.is_file() and len(path.parts) == 1 and not path.suffix:
        # A service's folder is often called as its pipeline.
        if named.is_file():
            return named
        if not path.exists():
            raise Stop(Exit.USAGE, f"{path}: no such file, nor {named}")
    must_be_file(path, "a pipeline file")
    return path
