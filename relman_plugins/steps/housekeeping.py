"""What must happen to releases even when none of their own tasks runs any more."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from relman_plugins import settings
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.domain.status import Outcome
from relman_plugins.errors import RelmanError
from relman_plugins.hooks.change import Change, converge
from relman_plugins.hooks.platform import platform_of
from relman_plugins.plan import remembered
from relman_plugins.plan.model import EnvironmentPlan, StepKind
from relman_plugins.steps.outcome import left_behind, outcome_of
from relman_plugins.strategies.api import withdrawn

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ephemeral, Ledger, ReleaseRecord

STEP = "maintenance"
GRACE = timedelta(seconds=30)
"""How long after its opening a release is left alone: its run may not be visible yet."""
LOCK_TTL_S = 600.0

log = logging.getLogger(__name__)


class Runs(Protocol):
    """What is asked of Airflow."""

    def exists(self, dag_id: str, run_id: str) -> bool:
        """Say whether the run is still there."""

    def ended(self, dag_id: str, run_id: str) -> bool:
        """Say whether the run has ended, in any way."""

    def succeeded(self, dag_id: str, run_id: str, task_ids: list[str]) -> set[str]:
        """Return which of these tasks Airflow shows as successful."""


@dataclass(frozen=True)
class Housekeeper:
    """One round of housekeeping. Every part is idempotent, and one that fails does not stop the others."""

    ledger: Ledger
    runs: Runs

    def round(self) -> list[str]:
        """Do what is due; return what was done, in sentences."""
        done: list[str] = []
        parts: list[Callable[[], list[str]]] = [
            self.expire_locks,
            self.remove_environments,
            self.end_orphans,
            self.find_bypasses,
            self.forget_shapes,
        ]
        for part in parts:
            try:
                done += part()
            except RelmanError as error:
                log.warning("%s: %s", part.__name__, error)
        return done

    def expire_locks(self) -> list[str]:
        """Remove locks whose time is over."""
        return [
            f"the lock of {lock.service} in {lock.environment} held by {lock.release_id} expired"
            for lock in self.ledger.locks.expire()
        ]

    def remove_environments(self) -> list[str]:
        """Remove ephemeral environments whose teardown never ran."""
        done = []
        for left in self.ledger.expired_environments():
            release = self.ledger.release(left.release_id)
            if release is not None and self._remove(release, left):
                done.append(f"{left.environment} of {left.release_id} expired and was removed")
        return done

    def end_orphans(self) -> list[str]:
        """End releases whose run was deleted, marked or timed out; take their candidates back first."""
        done = []
        for release in self.ledger.releases(active=True, limit=200):
            if release.opened_at > datetime.now(UTC) - GRACE:
                continue
            gone = not self.runs.exists(release.dag_id, release.run_id)
            if not gone and not self.runs.ended(release.dag_id, release.run_id):
                continue
            done.append(self._end(release, gone))
        return done

    def find_bypasses(self) -> list[str]:
        """Find gates that Airflow shows green and that nobody approved."""
        done = []
        for release in self.ledger.releases(active=True, limit=200):
            gates = [s.id for s in release.plan.shape.steps if s.kind is StepKind.APPROVAL]
            for gate in sorted(self.runs.succeeded(release.dag_id, release.run_id, gates)) if gates else ():
                state = self.ledger.votes.gate(release.release_id, gate)
                if release.plan.options.dry_run or (state is not None and state.state == "approved"):
                    continue
                text = f"gate {gate} was passed in Airflow without a decision in the ledger"
                event = NewEvent(
                    kind=Kind.GATE_BYPASSED,
                    key=f"{release.release_id}:{gate}:bypassed:{gate}",
                    step=gate,
                    data={"gate": gate, "message": text},
                )
                if self.ledger.record(release.release_id, event) is not None:
                    done.append(f"{release.release_id}: {text}")
        return done

    def forget_shapes(self) -> list[str]:
        """Forget the shapes of pipelines without a release in flight."""
        active = {r.pipeline for r in self.ledger.releases(active=True, limit=1000)}
        folder = settings.shapes_folder()
        gone = [p for p in remembered.pipelines(folder) if p not in active]
        for pipeline in gone:
            remembered.forget(folder, pipeline)
        return [f"no release of {pipeline} is in flight; its shape is forgotten" for pipeline in gone]

    def _end(self, release: ReleaseRecord, gone: bool) -> str:
        events = self.ledger.events(release.release_id)
        shape = release.plan.shape
        for name in left_behind(shape, events):
            first = next(e for e in events if e.kind is Kind.CHANGE_STARTED and e.environment == name)
            found = first.data.get("previous")
            previous = Revision.model_validate(found) if found else None
            environment = shape.environment(name)
            desired = withdrawn(previous, environment.replicas, environment.config)
            if not self._converge(release, environment, desired, previous):
                return f"{release.release_id}: {name} could not be brought back yet"
        outcome, reason = outcome_of(shape, self.ledger.events(release.release_id))
        if gone and outcome in (Outcome.FAILED, Outcome.SUCCEEDED):
            outcome, reason = Outcome.ABORTED, "its run was deleted from Airflow"
        elif outcome is Outcome.FAILED:
            reason = f"its run ended in Airflow before the release did; {reason}"
        closed = NewEvent(
            kind=Kind.RELEASE_CLOSED,
            key=f"{release.release_id}:close:closed",
            step=STEP,
            data={"outcome": outcome.value, "reason": reason},
        )
        self.ledger.record(release.release_id, closed)
        for lock in self.ledger.locks.held(release.release_id):
            self.ledger.locks.release(lock.environment, lock.service, release.release_id)
        return f"{release.release_id} ended as {outcome}: {reason}"

    def _remove(self, release: ReleaseRecord, left: Ephemeral) -> bool:
        environment = release.plan.shape.environment(left.environment)
        if not self._converge(release, environment, DesiredState(), None):
            return False
        if platform_of(environment).observe(environment.name, left.service).exists:
            return False
        removed = NewEvent(
            kind=Kind.ENVIRONMENT_REMOVED,
            key=f"{release.release_id}:{STEP}:removed:{environment.name}:{left.expires_at.isoformat()}",
            step=STEP,
            environment=environment.name,
            data={"proof": ["expired; the platform was asked and nothing of it exists"]},
        )
        self.ledger.record(release.release_id, removed)
        self.ledger.locks.release(environment.name, left.service, release.release_id)
        return True

    def _converge(
        self,
        release: ReleaseRecord,
        environment: EnvironmentPlan,
        desired: DesiredState,
        previous: Revision | None,
    ) -> bool:
        from relman_plugins.ledger.api import Busy

        service = release.plan.shape.service
        lock = self.ledger.locks.acquire(environment.name, service, release.release_id, LOCK_TTL_S)
        if isinstance(lock, Busy):
            log.warning("%s of %s is locked by %s", environment.name, service, lock.holder)
            return True
        change = Change(
            environment=environment.name,
            service=service,
            step=STEP,
            desired=desired,
            token=lock.token,
            attempt=f"token{lock.token}:{datetime.now(UTC):%Y%m%dT%H%M%S}",
            previous=previous,
        )

        def record(event: NewEvent) -> None:
            self.ledger.record(release.release_id, event)

        converge(change, platform_of(environment), record, release.release_id)
        return True
