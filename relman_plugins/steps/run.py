"""What a step knows while it runs: the release, the stored plan, and how to record."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.domain.identity import release_id_of
from relman_plugins.domain.state import Revision
from relman_plugins.errors import Refused

if TYPE_CHECKING:
    from relman_plugins.calendars.model import StartedBy
    from relman_plugins.hooks.recorder import Recorder
    from relman_plugins.ledger.api import Ledger, ReleaseRecord
    from relman_plugins.plan.model import EnvironmentPlan, ReleasePlan, Shape, Step

__all__ = ["StepRun", "release_id_of"]


@dataclass
class StepRun:
    """One try of one step of one release."""

    ledger: Ledger
    release: ReleaseRecord
    step: Step
    recorder: Recorder
    attempt: str
    """The task's try, for idempotency keys: what a second try does again is another event."""

    @property
    def release_id(self) -> str:
        """Return the release's id."""
        return self.release.release_id

    @property
    def plan(self) -> ReleasePlan:
        """Return the plan that the ledger stored when the release opened."""
        return self.release.plan

    @property
    def shape(self) -> Shape:
        """Return the stored plan's shape."""
        return self.release.plan.shape

    @property
    def environment(self) -> EnvironmentPlan:
        """Return the step's environment."""
        return self.shape.environment(self.step.environment or "")

    @property
    def service(self) -> str:
        """Return the service that the release is of."""
        return self.shape.service

    @property
    def started_by(self) -> StartedBy:
        """Return who started the release, as calendars tell it."""
        from relman_plugins.calendars.gate import starter

        return starter(self.release.started_by)

    def events(self, *kinds: Kind) -> list[Event]:
        """Return the release's events of these kinds (all when none is named), oldest first."""
        return self.ledger.events(self.release_id, kinds=list(kinds) or None)

    def mine(self, *kinds: Kind) -> list[Event]:
        """Return the events of this step, oldest first."""
        return [e for e in self.events(*kinds) if e.step == self.step.id]

    @cached_property
    def artifact(self) -> Revision:
        """Return the revision that the release's build recorded.

        Raises:
            Refused: nothing was built.
        """
        built = self.events(Kind.ARTIFACT_BUILT)
        if not built:
            raise Refused(
                f"release {self.release_id} has no recorded artifact; its build must have ended well first"
            )
        return Revision.model_validate(built[-1].data["revision"])

    def record(self, kind: Kind, suffix: str, data: dict[str, Any]) -> None:
        """Record an event of this step; ``suffix`` makes its idempotency key unique within the step."""
        self.recorder.record(
            NewEvent(
                kind=kind,
                key=f"{self.release_id}:{self.step.id}:{suffix}",
                step=self.step.id,
                environment=self.step.environment,
                data=data,
            )
        )
