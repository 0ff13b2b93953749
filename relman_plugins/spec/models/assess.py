"""The assessment of a change: what is looked at, and what counts as risky."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from relman_plugins.domain.defect import DefectSource, Tracker
from relman_plugins.domain.repository import PATTERN, refused
from relman_plugins.domain.risk import RiskPolicy, Weights
from relman_plugins.spec.models.base import ConnectionId, Line, Name, Path, SpecModel

PROJECT_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$"


def _within(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\x00" in path:
        raise PydanticCustomError("path_within", "must be a path from the repository's root that stays in it")
    return path


PathWithin = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_within)]
"""A path from the root of a repository that stays in it."""


def _repository(text: str) -> str:
    if why := refused(text):
        raise PydanticCustomError("repository", "is no repository", {"why": why})
    return text


Repository = Annotated[Path, AfterValidator(_repository), Field(json_schema_extra={"pattern": PATTERN})]
"""A directory in a Git repository, relative to the file, or the repository's address over HTTP."""

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00\n\r]*$")]
"""A pattern of paths: `*` for anything, `?` for one character, `[…]` for one of several."""


class RiskWeights(Weights, SpecModel):
    """Points that each finding adds. With 0 a finding does not count."""


class RiskRules(RiskPolicy, SpecModel):
    """From how many points on a change is risky, and what gives points."""

    weights: RiskWeights = RiskWeights()
    """Points by finding."""


MIGRATIONS = ("*migrations/*", "*migrate/*", "*alembic/versions/*", "*.sql")
"""Files that migrate data, in what many projects use."""

Patterns = Annotated[tuple[Pattern, ...], Field(max_length=50)]


class Defects(SpecModel):
    """Where the defects are kept that commits name, to look which of them are still open."""

    tracker: Tracker
    """`jira`, `github` or `gitlab`."""
    connection: ConnectionId
    """Airflow connection id of the tracker."""
    project: Annotated[str, StringConstraints(max_length=200, pattern=PROJECT_PATTERN)] | None = None
    """GitHub and GitLab: the repository, such as `shop/checkout`. Jira: the key of the one that counts."""
    kinds: Annotated[tuple[Line, ...], Field(min_length=1, max_length=20)] = ("bug",)
    """What makes an issue a defect: its type in Jira, one of its labels elsewhere."""

    @property
    def source(self) -> DefectSource:
        """Return it as the plan has it."""
        return DefectSource(
            tracker=self.tracker, connection=self.connection, project=self.project or "", kinds=self.kinds
        )


class EnvironmentAssess(SpecModel):
    """How an environment's owner weighs what is to be released there, whatever its pipeline says.

    All of the repository that the artifact's source lies in is looked at, from what is live here.
    """

    required: bool = False
    """Whether every pipeline that releases here must assess what it releases: without, no author is known."""
    repositories: Patterns = ()
    """Addresses, by patterns, of repositories that a pipeline may name instead: the owner believes those."""
    migrations: Patterns = MIGRATIONS
    """Files that migrate data, by patterns of their paths."""
    defects: Defects | None = None
    """Where the defects are kept that commits name."""
    risk: RiskRules = RiskRules()
    """From how many points on a change is risky, and what gives points."""


class Assess(SpecModel):
    """Looking at what changed since the version that is live, before anybody is asked."""

    repository: Repository | None = None
    """The Git repository: a directory in it, relative to this file, or its address over HTTP.

    By default the artifact's source."""
    connection: ConnectionId | None = None
    """Airflow connection id that signs in to the repository's server, which its host must be."""
    paths: Annotated[tuple[PathWithin, ...], Field(max_length=50)] = ()
    """What of the repository belongs to the service, from the repository's root; all of it unless given."""
    tag_prefix: Annotated[str, StringConstraints(max_length=63, pattern=r"^[A-Za-z0-9._/@-]*$")] = "v"
    """What tags have before the version: `v` for `v1.4.0`. A tag of the bare version is found too."""
    compared_with: Name | None = None
    """The environment whose live version is compared with; the last stage's unless given."""
    migrations: Patterns = MIGRATIONS
    """Files that migrate data, by patterns of their paths."""
    defects: Defects | None = None
    """Where the defects are kept that commits name."""
    risk: RiskRules = RiskRules()
    """From how many points on a change is risky, and what gives points."""
