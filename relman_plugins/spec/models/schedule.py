"""When a release starts by itself, and of which version."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from relman_plugins.domain.repository import HTTP_PATTERN, is_address, refused
from relman_plugins.spec.models.assess import Repository
from relman_plugins.spec.models.base import ConnectionId, Flag, Line, Name, Path, SpecModel
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.window import Days, Start, Zone

Prefix = Annotated[str, StringConstraints(max_length=63, pattern=r"^[A-Za-z0-9._/@-]*$")]


def _web(text: str) -> str:
    if why := refused(text) or ("" if is_address(text) else "must be an address over HTTP"):
        raise PydanticCustomError("repository", "is no address", {"why": why})
    return text


Address = Annotated[Path, AfterValidator(_web), Field(json_schema_extra={"pattern": HTTP_PATTERN})]
"""An address over HTTP, with a host and a path."""


class VersionSource(SpecModel):
    """Where the version comes from. Exactly one of `file`, `git`, `directory`, `registry`, `index`."""

    file: Path | None = None
    """A file whose only line is the version, relative to this file."""
    git: Repository | None = None
    """A Git repository, whose newest tag it is: a directory in it, relative to this file, or its address."""
    directory: Path | None = None
    """A directory, relative to this file, whose newest artefact it is, by the names of what is in it."""
    registry: Address | None = None
    """An image in an OCI registry, whose newest tag it is: `https://ghcr.io/shop/checkout`."""
    index: Address | None = None
    """A project in a Python package index (PEP 691): `https://packages.example/simple/checkout`."""
    connection: ConnectionId | None = None
    """Airflow connection id that signs in to the server of an address, which its host must be."""
    prefix: Prefix | None = None
    """What names have before the version; `v` for Git tags and nothing for others unless given."""
    range: Line | None = None
    """Which versions count, as `>=1.4,<2` or `~=1.4`."""
    prereleases: Flag = False
    """Whether `1.4.0-rc.1` and the like count."""


AssetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]
"""Name of an Airflow asset without a scheme, so that it is the asset's URI, too."""


class Schedule(SpecModel):
    """When a release starts by itself. Exactly one of `days` with `at`, `cron`, `opening`, `assets`."""

    days: Days | None = None
    """Days of the week."""
    at: Start | None = None
    """Time of day, `HH:MM`, in `zone`."""
    cron: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """Five fields: minute, hour, day of the month, month, day of the week, in `zone`."""
    opening: Name | None = None
    """An environment of this pipeline: departs whenever its windows and calendars open."""
    assets: Annotated[list[AssetName], Field(min_length=1, max_length=20)] | None = None
    """Names of Airflow assets: departs with each event of one of them."""
    zone: Zone | None = None
    """IANA time zone of `at` or `cron`."""
    version: VersionSource | None = None
    """Where the version comes from when nobody has added one. Without it only what is added departs, or what
    the events of `assets` say."""
    cutoff: Duration | None = None
    """How long before its departure the version is settled: what comes later waits for the next train."""
    announce: Duration | None = None
    """How long before its departure Slack is told."""
