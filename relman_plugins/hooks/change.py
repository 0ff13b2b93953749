"""One change of one environment: converge, with a record before and after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from relman_plugins import telemetry
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.platforms.base import Platform
from relman_plugins.strategies.api import same_revision

if TYPE_CHECKING:
    from relman_plugins.plan.model import EnvironmentPlan

CONVERGE_TIMEOUT_S = 120.0


def time_for(environment: EnvironmentPlan) -> float:
    """Return how many seconds one try of a change may take there, forward or back."""
    return environment.workload.timeout_s if environment.workload else CONVERGE_TIMEOUT_S


class Change(NamedTuple):
    """What is to be changed, and on whose behalf."""

    environment: str
    service: str
    step: str
    desired: DesiredState
    token: int
    attempt: str
    """What makes a second try of the same change another event: the task's try, or what caused it."""
    previous: Revision | None = None
    """What was stable before the release touched the environment."""
    promoted: bool = False
    """Whether the release's version is the environment's stable one from here on."""
    provisioned: bool = False
    """Whether it makes the environment for the release, rather than empty it."""

    @property
    def key(self) -> str:
        """Return the start of the idempotency keys of this change's events."""
        return f"{self.step}:{self.attempt}"


Record = Callable[[NewEvent], object]


def converge(
    change: Change, platform: Platform, record: Record, prefix: str, timeout_s: float = CONVERGE_TIMEOUT_S
) -> ObservedState:
    """Record that the change starts, converge, and record what came of it.

    Raises:
        PlatformError: as ``Platform.converge``; the start is recorded, the end is not.
    """
    record(started(change, prefix))
    return finish(change, platform, record, prefix, timeout_s)


def finish(
    change: Change, platform: Platform, record: Record, prefix: str, timeout_s: float
) -> ObservedState:
    """Converge and record what came of it: for callers that can't wait for the first record."""
    began = time.monotonic()
    at = datetime.now(UTC)
    with telemetry.span("converge", **_about(change)):
        observed = platform.converge(
            change.environment, change.service, change.desired, token=change.token, timeout_s=timeout_s
        )
    seconds = time.monotonic() - began
    data: dict[str, Any] = {
        "desired": change.desired.model_dump(mode="json"),
        # What was asked for is there already, and what somebody else set may be a secret.
        "observed": observed.model_dump(mode="json", exclude={"config"}),
        "token": change.token,
        "promoted": change.promoted,
        **({"provisioned": True} if change.provisioned else {}),
        "stable": change.desired.stable.model_dump(mode="json") if change.desired.stable else None,
        "previous": _dump(change.previous),
        "seconds": round(seconds, 3),
        "began_at": at.isoformat(),
    }
    record(_event(change, Kind.CHANGE_FINISHED, prefix, data))
    return observed


def started(change: Change, prefix: str) -> NewEvent:
    """Return the event that says that the change starts."""
    data = {
        "desired": change.desired.model_dump(mode="json"),
        "token": change.token,
        "previous": _dump(change.previous),
    }
    return _event(change, Kind.CHANGE_STARTED, prefix, data)


def serves(observed: ObservedState, revision: Revision) -> bool:
    """Say whether a revision has traffic."""
    sides = (observed.stable, observed.candidate)
    return any(side and side.weight > 0 and same_revision(side.revision, revision) for side in sides)


def _event(change: Change, kind: Kind, prefix: str, data: dict[str, Any]) -> NewEvent:
    return NewEvent(
        kind=kind,
        key=f"{prefix}:{change.key}:{kind.value}",
        step=change.step,
        environment=change.environment,
        data=data,
        at=datetime.now(UTC),
    )


def _about(change: Change) -> dict[str, Any]:
    stable, candidate = change.desired.stable, change.desired.candidate
    return {
        "environment": change.environment,
        "service": change.service,
        "stable": stable.version if stable else None,
        "candidate": candidate.version if candidate else None,
        "weight": change.desired.candidate_weight if candidate else None,
        "token": change.token,
    }


def _dump(revision: Revision | None) -> dict[str, Any] | None:
    return revision.model_dump(mode="json") if revision else None
