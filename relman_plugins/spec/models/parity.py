"""Parity: two environments compared before a stage changes anything."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from relman_plugins.spec.models.base import Command, Name, SpecModel
from relman_plugins.spec.models.duration import Duration

KEY_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$"
URL_PATH_PATTERN = r"^/[!-~]{0,299}$"

Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
Keys = Annotated[tuple[Key, ...], Field(max_length=200)]


class DataSchema(SpecModel):
    """How the data schema of an environment is read: by a command, or from the service."""

    command: Command | None = None
    """Program and arguments, run in the unpacked artifact once for each environment.

    It writes the schema, as JSON or text, to the file `RELMAN_OUTPUT`, and gets `RELMAN_BASE_URL`,
    `RELMAN_VERSION` (what is live there) and `RELMAN_ENVIRONMENT`.
    """
    path: Annotated[str, StringConstraints(pattern=URL_PATH_PATTERN)] | None = None
    """Path below the service's address that answers with the schema, as JSON or text."""
    timeout: Duration = Duration(60)
    """Time limit for each environment."""


class Parity(SpecModel):
    """The stage's environment compared with one that the release has been through."""

    with_: Name = Field(alias="with")
    """The environment of an earlier stage: what the version was tried in."""
    of: Annotated[
        tuple[Literal["config", "versions", "drift", "schema"], ...] | None, Field(min_length=1, max_length=4)
    ] = None
    """What is compared: `config`, `versions`, `drift`, `schema`; all of it unless given."""
    schema_: DataSchema | None = Field(default=None, alias="schema")
    """How the data schema is read; without it there is none to compare."""
    ignore: Keys = ()
    """Variables and services that are not compared."""
    may_differ: Keys = ()
    """Variables that both environments must have, with whatever value."""
    on_difference: Literal["show", "gate", "fail"] = "show"
    """What differences lead to: they are shown; a person must accept them (`gate`); the stage fails."""
    group: Name | None = None
    """The group, from `people.yaml`, of which one must accept differences; for `on_difference: gate`."""
    timeout: Duration = Duration(86_400)
    """How long that question waits."""
    on_timeout: Literal["reject", "expire"] = "reject"
    """What happens when time is up: the release is rejected, or it expires."""
