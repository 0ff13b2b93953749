"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

Url = Annotated[str, typer.Option("--url", envvar="RELMAN_URL", help="Address of Airflow.")]
User = Annotated[str, typer.Option("--user", envvar="RELMAN_USER", help="Airflow user name.")]
Password = Annotated[
    str, typer.Option("--password", envvar="RELMAN_PASSWORD", help="Better set by the variable than typed.")
]
Token = Annotated[
    str, typer.Option("--token", envvar="RELMAN_TOKEN", help="Airflow token, instead of user and password.")
]
Interval = Annotated[float, typer.Option("--interval", min=0.1, max=60, help="Seconds between looks.")]

DEFAULT_URL = "http://localhost:8080"


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
