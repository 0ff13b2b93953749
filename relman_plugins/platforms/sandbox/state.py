"""What the daemon remembers over its own death."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relman_plugins.domain.base import digest_of
from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.errors import PlatformRejected
from relman_plugins.platforms.sandbox.home import write_json


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReplicaRecord(_Record):
    """One replica: a place that always has one process, and the process it has now."""

    id: str
    """Unique; the process carries it in its environment, which is how it is found again."""
    port: int = 0
    pid: int | None = None
    ready: bool = False


class SlotRecord(_Record):
    """All replicas of one revision with one configuration."""

    id: str
    revision: Revision
    config: dict[str, str]
    wanted: int
    track: str = ""
    """``baseline``, or nothing: a baseline is never taken for the stable revision that it is a copy of."""
    proven: bool = False
    """Whether all replicas were ready at least once."""
    replicas: list[ReplicaRecord] = Field(default_factory=list)

    @property
    def key(self) -> str:
        """What makes two slots run the same thing."""
        return digest_of([self.revision.version, self.revision.digest, self.config, self.track])


class ServiceRecord(_Record):
    """One service in one environment."""

    environment: str
    service: str
    desired: DesiredState
    slots: list[SlotRecord]
    stable: str | None
    """Id of the slot with the stable role."""
    candidate: str | None
    baseline: str | None = None
    weights: dict[str, int]
    """Share of the traffic in percent by slot id: what the front door does now."""


class SandboxState(_Record):
    """Everything."""

    schema_version: int = 1
    control_port: int = 0
    front_port: int = 0
    tokens: dict[str, int] = Field(default_factory=dict)
    """Highest fencing token by ``environment/service``; kept after a removal."""
    services: list[ServiceRecord] = Field(default_factory=list)


def load(path: Path) -> SandboxState:
    """Read the state; a missing file is an empty one.

    Raises:
        PlatformRejected: The file is there but is not a state: nothing is guessed about running processes.
    """
    try:
        return SandboxState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return SandboxState()
    except (ValidationError, OSError) as e:
        raise PlatformRejected(
            f"cannot read the sandbox's state {path}: {e}. "
            "Stop what is left with --stop-all, then remove the file"
        ) from e


def save(path: Path, state: SandboxState) -> None:
    """Write the state atomically."""
    write_json(path, state.model_dump(mode="json"))
