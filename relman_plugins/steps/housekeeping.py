"""What must happen to releases even when none of their own tasks runs any more."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from relman_plugins import settings
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import ROLLBACK_DAG_ID, rollback_run_id
from relman_plugins.domain.state import DesiredState
from relman_plugins.domain.status import Outcome
from relman_plugins.errors import LedgerConflict, Refused, RelmanError, recordable
from relman_plugins.hooks.change import Change, converge, time_for
from relman_plugins.hooks.platform import platform_of
from relman_plugins.hooks.recorder import Recorder
from relman_plugins.notifications.limits import GIVE_UP_AFTER, GIVE_UP_AGE
from relman_plugins.plan import remembered
from relman_plugins.steps import deadlines, foretelling, lost_trains, recalling
from relman_plugins.steps.base import LOCK_TTL_S as STEP_LOCK_TTL_S
from relman_plugins.steps.metrics import tell, tell_standing
from relman_plugins.steps.outcome import left_behind, outcome_of
from relman_plugins.steps.passing import tell_bypasses
from relman_plugins.steps.restoring import LOCK_TTL_S, bring_back
from relman_plugins.steps.returning import broke, go_back

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Asked, Ephemeral, Ledger, ReleaseRecord

STEP = "maintenance"
MOST = 200
"""Releases under way that are looked at in one round; of more, the next ones in the next round."""

GRACE = timedelta(seconds=30)
"""How long after its opening a release is left alone: its run may not be visible yet."""

ROLLBACK_GRACE = timedelta(minutes=2)
"""How long the run of a rollback has to begin."""
ROLLBACK_GIVEN_UP = timedelta(minutes=30)
"""How old a request becomes that can't be carried out: much may have changed by then; a person asks again."""
ROLLBACK_TOO_LATE = timedelta(days=1)
"""A request that nobody worked on for so long is ended and not carried out: nobody expects it any more."""
ROLLBACK_FORGOTTEN = timedelta(days=90)
"""How far back requests without an end are looked for."""

log = logging.getLogger(__name__)


class Runs(Protocol):
    """What is asked of Airflow."""

    def exists(self, dag_id: str, run_id: str) -> bool:
        """Say whether the run is still there."""

    def ended(self, dag_id: str, run_id: str) -> bool:
        """Say whether the run has ended, in any way."""

    def working(self, dag_id: str, run_id: str) -> bool:
        """Say whether a task of the run has begun and is to go on: it runs, waits, or will be tried again."""

    def succeeded(self, dag_id: str, run_id: str, task_ids: list[str]) -> set[str]:
        """Return which of these tasks Airflow shows as successful."""


@dataclass(frozen=True)
class Housekeeper:
    """One round of housekeeping. Every part is idempotent, and one that fails does not stop the others."""

    ledger: Ledger
    runs: Runs
    specs: Path | None = None
    """The folder of the specs; None: calendars are not looked at."""

    def round(self) -> list[str]:
        """Do what is due; return what was done, in sentences."""
        done: list[str] = []
        parts: list[Callable[[], list[str]]] = [
            self.end_orphans,
            self.tell_edited,
            self.finish_rollbacks,
            self.keep_locks,
            self.expire_locks,
            self.remove_environments,
            self.find_bypasses,
            self.remind,
            self.escalate,
            self.tell_overdue,
            self.settle,
            self.tell_lost_trains,
            self.tell_late,
            self.tell_expected,
            self.give_up,
            self.forget_shapes,
            self.tell_standing,
        ]
        for part in parts:
            try:
                done += part()
            except RelmanError as error:
                log.warning("%s: %s", part.__name__, error)
            except Exception:
                # Airflow's own errors too: the other parts and the messages must not wait for them.
                log.exception("%s failed", part.__name__)
        return done

    def keep_locks(self) -> list[str]:
        """Renew the locks of releases whose run goes on, however long: only what is dead loses its lock."""
        kept = []
        soon = self.ledger.now() + timedelta(seconds=STEP_LOCK_TTL_S / 2)
        for lock in self.ledger.locks.held():
            release = self.ledger.release(lock.release_id)
            if lock.expires_at > soon or release is None or self._has_ended(release):
                continue
            try:
                self.ledger.locks.renew(lock, STEP_LOCK_TTL_S)
            except LedgerConflict as error:
                log.warning("%s", error)
            else:
                kept.append(f"the lock of {lock.service} in {lock.environment} is kept for {lock.release_id}")
        return kept

    def _has_ended(self, release: ReleaseRecord) -> bool:
        run = (release.dag_id, release.run_id)
        return not self.runs.exists(*run) or self.runs.ended(*run)

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
            try:
                if release is not None and self._remove(release, left):
                    done.append(f"{left.environment} of {left.release_id} expired and was removed")
            except RelmanError as error:
                log.warning("%s of %s could not be removed: %s", left.environment, left.release_id, error)
        return done

    def end_orphans(self) -> list[str]:
        """End releases whose run was deleted, marked or timed out; take their candidates back first."""
        now, done = self.ledger.now(), []
        for release in self.ledger.in_flight(MOST):
            if release.opened_at > now - GRACE:
                continue
            gone = not self.runs.exists(release.dag_id, release.run_id)
            if not gone and not self.runs.ended(release.dag_id, release.run_id):
                continue
            try:
                done += self._find_bypasses(release)
                done.append(self._end(release, gone))
            except RelmanError as error:
                # One environment that can't be reached must not keep the other releases from their end.
                log.warning("%s could not be ended yet: %s", release.release_id, error)
        return done

    def finish_rollbacks(self) -> list[str]:
        """Carry out the rollbacks that people asked for and the task of ``relman_rollback`` does not.

        Its DAG may be paused, or gone, or the run deleted, or its worker lost before it could begin.
        """
        now, done = self.ledger.now(), []
        for asked in self.ledger.rollbacks_asked(now - ROLLBACK_FORGOTTEN):
            try:
                if asked.at <= now - ROLLBACK_GRACE and (said := self._finish_rollback(asked, now)):
                    done.append(said)
            except Exception:
                # Of Airflow or of somebody's driver; other requests must not wait for it.
                log.exception(
                    "the rollback of %s in %s could not be carried out; it is tried again in a minute",
                    asked.release_id,
                    asked.environment,
                )
        return done

    def _finish_rollback(self, asked: Asked, now: datetime) -> str:
        release, late = self.ledger.release(asked.release_id), asked.at < now - ROLLBACK_GIVEN_UP
        run = (ROLLBACK_DAG_ID, rollback_run_id(asked.release_id, asked.environment, asked.n))
        # A run that never ends, on a paused DAG for one, must not keep the request for ever. Should it come
        # back to life, it finds the request ended, or is fenced off.
        if release is None or (not late and self.runs.working(*run)):
            return ""
        recorder = Recorder(asked.release_id, lambda: self.ledger, warn=log.warning)
        if asked.at < now - ROLLBACK_TOO_LATE:
            error = "nothing carried it out for a day; look what runs there now, then ask again"
            broke(self.ledger, release, asked, recorder, error, final=True)
            return f"rollback of {asked.release_id} given up: {error}"
        try:
            return go_back(self.ledger, release, asked, recorder)
        except Refused as error:
            return f"rollback of {asked.release_id} refused: {error}"
        except Exception as error:
            broke(self.ledger, release, asked, recorder, recordable(error), final=late)
            raise

    def find_bypasses(self) -> list[str]:
        """Find gates that Airflow shows green and that nobody approved."""
        done = []
        for release in self.ledger.in_flight(MOST):
            done += self._find_bypasses(release)
        return done

    def _find_bypasses(self, release: ReleaseRecord) -> list[str]:
        succeeded = partial(self.runs.succeeded, release.dag_id, release.run_id)
        return tell_bypasses(self.ledger, release, succeeded)

    def remind(self) -> list[str]:
        """Remind those who can still answer at gates that wait; the messages go out with the others."""
        done = []
        for gate in self.ledger.votes.open_gates():
            event = self.ledger.votes.remind(gate.release_id, gate.gate) if gate.remind_s else None
            if event is not None:
                people = ", ".join(p["name"] or p["id"] for p in event.data["people"])
                done.append(f"{gate.release_id}: {gate.gate} still waits; reminded {people}")
        return done

    def escalate(self) -> list[str]:
        """Let second groups answer at gates that have waited for long enough, and tell them."""
        done = []
        for gate in self.ledger.votes.open_gates():
            if gate.escalate is None or gate.escalated_at is not None:
                continue
            if self.ledger.votes.escalate(gate.release_id, gate.gate) is not None:
                done.append(
                    f"{gate.release_id}: {gate.gate} still waits; {gate.escalate.group} may answer now"
                )
        return done

    def tell_overdue(self) -> list[str]:
        """Tell of what emergencies skipped and nobody has approved in time."""
        return [
            f"{debt.release_id}: {debt.gate} is overdue since {debt.expires_at:%Y-%m-%d %H:%M} UTC"
            for debt in self.ledger.votes.debts()
            if self.ledger.votes.tell_overdue(debt.release_id, debt.gate) is not None
        ]

    def settle(self) -> list[str]:
        """Record of what was refused afterwards that it was taken back since: nothing is owed for it then."""
        return [
            f"{debt.release_id}: {debt.gate} is settled: {event.data['reason']}"
            for debt in self.ledger.votes.debts()
            if (event := self.ledger.votes.settle_by_rollback(debt.release_id, debt.gate)) is not None
        ]

    def tell_lost_trains(self) -> list[str]:
        """Tell of trains that departed and whose release nobody has opened: its DAG may be paused."""
        return lost_trains.tell(self.ledger)

    def tell_late(self) -> list[str]:
        """Record that releases, or stages of them, take longer than their pipeline says."""
        return deadlines.tell_overdue(self.ledger)

    def tell_expected(self) -> list[str]:
        """Record when releases will be done, where that has become another time, and which gates are late."""
        return foretelling.tell(self.ledger)

    def tell_edited(self) -> list[str]:
        """Record that calendars of releases under way were edited, so that those which wait look again."""
        return recalling.tell_edited(self.ledger, self.specs) if self.specs is not None else []

    def give_up(self) -> list[str]:
        """Give up messages that could not be told for a week; ``relman doctor`` says so for another one."""
        before = datetime.now(UTC) - GIVE_UP_AGE
        return [
            f"{gone.given_up} messages to {gone.channel} are given up, as they are older than "
            f"{GIVE_UP_AGE.days} days: {gone.given_up_error}"
            for gone in self.ledger.outbox.give_up(before, GIVE_UP_AFTER)
        ]

    def forget_shapes(self) -> list[str]:
        """Forget the shapes of pipelines without a release in flight."""
        folder = settings.shapes_folder()
        # In this order: a release that opens meanwhile is in the ledger before its shape is in the folder.
        known = remembered.pipelines(folder)
        active = self.ledger.pipelines_in_flight()
        gone = [p for p in known if p not in active]
        for pipeline in gone:
            remembered.forget(folder, pipeline)
        return [f"no release of {pipeline} is in flight; its shape is forgotten" for pipeline in gone]

    def tell_standing(self) -> list[str]:
        """Give Airflow's metrics what stands now."""
        tell_standing(self.ledger)
        return []

    def _end(self, release: ReleaseRecord, gone: bool) -> str:
        events = self.ledger.events(release.release_id)
        shape = release.plan.shape
        for name in left_behind(shape, events):
            log.info("%s: %s", release.release_id, bring_back(self.ledger, release, name, STEP))
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
        if self.ledger.record(release.release_id, closed) is not None:
            tell(release, self.ledger.events(release.release_id))
        for lock in self.ledger.locks.held(release.release_id):
            self.ledger.locks.release(lock.environment, lock.service, release.release_id)
        return f"{release.release_id} ended as {outcome}: {reason}"

    def _remove(self, release: ReleaseRecord, left: Ephemeral) -> bool:
        from relman_plugins.ledger.api import Busy

        environment = release.plan.shape.environment(left.environment)
        lock = self.ledger.locks.acquire(environment.name, left.service, release.release_id, LOCK_TTL_S)
        if isinstance(lock, Busy):
            log.warning("%s of %s is locked by %s", environment.name, left.service, lock.holder)
            return False
        change = Change(
            environment=environment.name,
            service=left.service,
            step=STEP,
            desired=DesiredState(),
            token=lock.token,
            attempt=f"token{lock.token}:{datetime.now(UTC):%Y%m%dT%H%M%S}",
        )

        def record(event: NewEvent) -> None:
            self.ledger.record(release.release_id, event)

        platform = platform_of(environment)
        converge(change, platform, record, release.release_id, time_for(environment))
        if platform.observe(environment.name, left.service).exists:
            return False
        removed = NewEvent(
            kind=Kind.ENVIRONMENT_REMOVED,
            key=f"{release.release_id}:{STEP}:removed:{environment.name}:{left.expires_at.isoformat()}",
            step=STEP,
            environment=environment.name,
            data={"proof": ["expired; the platform was asked and nothing of it exists"]},
        )
        record(removed)
        self.ledger.locks.release(environment.name, left.service, release.release_id)
        return True
