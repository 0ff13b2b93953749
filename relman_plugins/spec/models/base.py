"""What the spec's models are made of: names, paths, text, numbers that are really numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, Strict, StringConstraints
from pydantic_core import PydanticCustomError

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.identity import NAME_PATTERN

CONNECTION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$"
POOL_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"


def stays_inside(path: str) -> bool:
    """Say whether a path is relative, and leads to nothing outside of where it begins."""
    parts = path.replace("\\", "/").split("/")
    return not (path.startswith(("/", "~")) or ".." in parts or "\x00" in path)


def _inside(path: str) -> str:
    if not stays_inside(path):
        raise PydanticCustomError("path_inside", "must be a relative path that stays inside the artifact")
    return path


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""A DNS label: lower-case letters, digits and dashes, first a letter, at most 63."""

ConnectionId = Annotated[str, StringConstraints(pattern=CONNECTION_PATTERN)]
"""The id of an Airflow connection. Secrets live there, never in a spec."""

PoolName = Annotated[str, StringConstraints(pattern=POOL_PATTERN)]
"""The name of an Airflow pool, of the characters that Airflow's metrics can carry."""

Variable = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN)]
"""The name of an environment variable."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\n\r]*$")]
"""One line of text."""

Text = Annotated[str, StringConstraints(max_length=4000)]
"""Some text."""

PathInside = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_inside)]
"""A relative path that stays inside the directory it is relative to."""

Path = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]
"""A path relative to the file it is written in."""

Count = Annotated[int, Strict(), Field(ge=1, le=10_000)]
Whole = Annotated[int, Strict(), Field(ge=0, le=10_000)]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]

Query = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
"""In its source's language; ``$service``, ``$version`` and the like are filled in when it is asked."""

Command = Annotated[
    tuple[Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00]*$")], ...],
    Field(min_length=1, max_length=200),
]
"""A program and its arguments, as a list. There is no shell; values arrive as environment variables."""

API_VERSION = "relman/v1"
ApiVersion = Literal["relman/v1"]


class SpecModel(Frozen):
    """Base of everything that is written in YAML: frozen, unknown keys refused."""


class Metadata(SpecModel):
    """Who and what a document is about."""

    name: Name
    """The name of the document; its file is called ``<name>.yaml``."""
    owner: Line
    """The team that answers for it; becomes the owner of the DAG."""
    description: Text = ""
    """What it is, for people."""
    labels: Annotated[dict[Name, Line], Field(max_length=20)] = Field(default_factory=dict)
    """What calendars can tell pipelines apart by, such as `tier: critical`."""


def without_nones(model: SpecModel) -> dict[str, Any]:
    """Return the model as JSON data by its YAML names, what was not given left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
