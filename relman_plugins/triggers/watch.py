"""What an analysis watches, and what the record says about the watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Kind
from relman_plugins.domain.look import control
from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.domain.status import Verdict
from relman_plugins.hooks.ledger import FLAG_KINDS, Flags, flags
from relman_plugins.plan.model import AnalysisPlan, EnvironmentPlan

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger


def _is_nothing(value: object) -> bool:
    # Left out then: a triggerer that is not upgraded yet refuses a field that it does not know.
    return not value


class Watch(Frozen):
    """What is watched, and how its traffic is taken back."""

    release_id: str
    step: str
    attempt: str
    environment: EnvironmentPlan
    service: str
    analysis: AnalysisPlan
    candidate: Revision
    stable: Revision | None
    """What has the rest of the traffic, and gets all of it back; None on a first deploy."""
    weight: int
    baseline: bool = Field(default=False, exclude_if=_is_nothing)
    """Whether a fresh baseline of ``stable`` is what the candidate is compared with, and not all of it."""
    interval_s: float
    count: int
    false_alarms: float = 0.0
    """Where versions are compared: the chance of failing one that is no worse."""
    before_at: float = Field(default=0.0, exclude_if=_is_nothing)
    """Where it is compared with the time before the change: when the old version's watch began, in seconds
    since the epoch. Look ``n`` is compared with what was ``n`` intervals later, whichever try takes it."""
    ago_s: float = 0.0
    """What an older relman stored instead: how long ago that is, the same at each look."""
    started_at: float
    """When the candidate got this weight, in seconds since the epoch."""
    shared: bool = Field(default=False, exclude_if=_is_nothing)
    """Whether all tries of the step are one watch: they count from the same moment, and number their looks
    together, so that of two at once each look counts once. What an older relman stored is a try's own."""
    background: bool = Field(default=False, exclude_if=_is_nothing)
    """Whether it goes on to look while the release is held: no such look is the last."""
    earlier: tuple[str, ...] = Field(default=(), exclude_if=_is_nothing)
    """The steps with whose looks this one goes on, the first one first."""
    withdraw: DesiredState
    """Where to converge when the numbers are bad: the candidate at 0 %."""
    token: int
    before: ObservedState
    """What the platform saw when the candidate came: what was served since then is the release's cost."""

    @property
    def control(self) -> str:
        """Return what the candidate is compared with, in words."""
        return control(baseline=self.baseline)

    @property
    def prefix(self) -> str:
        """Return the start of the idempotency keys of this watch's events."""
        return f"{self.release_id}:{self.step}:{self.attempt}"

    @property
    def course(self) -> str:
        """Return the start of the keys of its looks."""
        return f"{self.release_id}:{self.step}" if self.shared else self.prefix


class Known(Frozen):
    """What people and other processes have recorded meanwhile; nothing, when the ledger can't be asked."""

    flags: Flags = Flags()
    over: str = ""
    """Why nobody waits for this watch any more: its step or its release has ended."""
    verdict: Verdict | None = None
    """What another process that had the same watch has said already."""
    reason: str = ""


def known(ledger: Ledger, watch: Watch) -> Known:
    """Return what the ledger says about a watch now."""
    events = ledger.events(watch.release_id, kinds=[*FLAG_KINDS, Kind.STEP_FINISHED, Kind.ANALYSIS_FINISHED])
    said = flags(events)
    ended = any(e.kind is Kind.STEP_FINISHED and e.step == watch.step for e in events)
    over = "the release is closed" if said.closed else "the step has ended" if ended else ""
    verdict = next((e.data for e in events if e.key == f"{watch.prefix}:finished"), None)
    if verdict is None:
        return Known(flags=said, over=over)
    return Known(flags=said, over=over, verdict=verdict["verdict"], reason=verdict["reason"])
