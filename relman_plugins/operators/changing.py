"""What steps that change an environment share: the lock, what was there before, the judgement after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins import settings
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.state import DesiredState, ObservedState, Revision
from relman_plugins.errors import Refused
from relman_plugins.hooks.platform import platform_of
from relman_plugins.plan.model import StepKind
from relman_plugins.steps.base import LOCK_TTL_S, StepFailed
from relman_plugins.steps.renewing import RenewingOperator
from relman_plugins.steps.run import StepRun
from relman_plugins.strategies.api import promoted, same_revision

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Lock
    from relman_plugins.platforms.base import Platform


class ChangingOperator(RenewingOperator):
    """A step that changes an environment, or watches a change."""

    def take_lock(self, run: StepRun) -> Lock:
        """Return the release's lock on the step's environment; wait while another release has it.

        Raises:
            Refused: somebody broke the lock, or it was lost in the middle of the change. Somebody else may
                have changed the environment since, and what they did must not be undone by going on.
        """
        from relman_plugins.ledger.api import Busy, called

        tokens = {int(e.data["token"]) for e in changes_so_far(run)}
        for broken in [] if tokens else run.events(Kind.LOCK_BROKEN):
            # Whoever takes a lock away wants this release out of there, also before its first change.
            if broken.environment == run.environment.name:
                raise Refused(
                    f"release {run.release_id} lost its lock of {run.service} in {broken.environment}: "
                    f"{broken.actor.name or broken.actor.id} broke it ({broken.data.get('reason')}); nothing "
                    "goes forward any more, start another release"
                )
        lock = run.ledger.locks.acquire(run.environment.name, run.service, run.release_id, LOCK_TTL_S)
        if tokens and (isinstance(lock, Busy) or lock.token not in tokens):
            if not isinstance(lock, Busy):
                run.ledger.locks.release(lock.environment, lock.service, run.release_id)
            whose = (
                f"{called(run.ledger, lock.holder, run.release.pipeline)} has it now"
                if isinstance(lock, Busy)
                else "it was broken or expired"
            )
            raise Refused(
                f"release {run.release_id} lost its lock of {lock.service} in {lock.environment} in the "
                f"middle of its change ({whose}); nothing goes forward any more, start another release"
            )
        if isinstance(lock, Busy):
            from relman_plugins.triggers.base import deferral
            from relman_plugins.triggers.waits import LockTrigger

            self.log.info(
                "%s of %s is locked by %s since %s", lock.environment, lock.service, lock.holder, lock.since
            )
            self.defer(
                trigger=LockTrigger(
                    release_id=run.release_id,
                    environment=run.environment.name,
                    service=run.service,
                    **deferral(settings.minimum_deferral()),
                ),
                method_name="resume",
            )
        return lock

    def wait_for_window(self, run: StepRun, *, wave: bool = False) -> None:
        """Look at windows and calendars at the moment of the act; wait while they are closed.

        Before the first change always. In the middle of one by the environment's ``on_close``: ``finish``
        does not look again, ``hold`` waits, keeping the lock, ``drain`` ends the step, so that the traffic
        goes back. A change that this step has begun it finishes, but for the next ``wave`` of several.

        Raises:
            StepFailed: it closed in the middle of the change, and then the environment is drained.
            CalendarError: it can't be said whether it is open: then nothing goes forward.
        """
        if run.plan.options.emergency:
            return
        from relman_plugins.steps.windows import look_now, patience_of, wait

        begun = changes_so_far(run)
        own = not wave and any(e.step == run.step.id for e in begun)
        for gate in (run.shape.step(g) for g in run.step.gates):
            if gate.kind is not StepKind.WINDOW:
                continue
            on_close = gate.args.get("on_close", "finish")
            if begun and (own or on_close == "finish"):
                continue
            seen = look_now(run, gate, begun=bool(begun))
            if seen.open:
                continue
            if begun and on_close == "drain":
                raise StepFailed(f"the release window closed in the middle of the change: {seen.reasons}")
            if begun:
                _, until = patience_of(run, gate)
                left_s = (until - run.ledger.now()).total_seconds()
                run.ledger.locks.renew(self.take_lock(run), max(left_s, 0) + LOCK_TTL_S)
            wait(self, run, gate, seen)

    def change(
        self, run: StepRun, platform: Platform, desired: DesiredState, lock: Lock, **about: Any
    ) -> ObservedState:
        """Converge on behalf of this step, recorded before and after."""
        from relman_plugins.hooks.change import Change, converge, time_for

        attempt = f"{run.attempt}:{about.pop('label', 'change')}"
        change = Change(
            environment=run.environment.name,
            service=run.service,
            step=run.step.id,
            desired=desired,
            token=lock.token,
            attempt=attempt,
            **about,
        )
        timeout_s = time_for(run.environment)
        return converge(change, platform, run.recorder.record, run.release_id, timeout_s)

    def promote(self, run: StepRun, lock: Lock, previous: Revision | None) -> None:
        """Make the release's version the stable one; not while it is held, or the line is stopped."""
        if not any(e.data.get("promoted") for e in run.mine(Kind.CHANGE_STARTED)):
            self._hold(run)
        environment = run.environment
        desired = promoted(run.artifact, environment.replicas, environment.config)
        self.change(
            run, platform_of(environment), desired, lock, previous=previous, promoted=True, label="promote"
        )

    def still_serves(self, run: StepRun, platform: Platform) -> None:
        """Raise StepFailed when the record says that the new version has traffic and the platform says no.

        Whoever took it back had a reason, also one whose record is lost or waits in another machine's spool.
        """
        from relman_plugins.hooks.change import serves

        changes = changes_so_far(run, Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED)
        if not changes or changes[-1].kind is Kind.CHANGE_STARTED:
            return
        desired = DesiredState.model_validate(changes[-1].data["desired"])
        mine = desired.candidate if desired.candidate_weight else desired.stable
        if not same_revision(mine, run.artifact):
            return
        if not serves(platform.observe(run.environment.name, run.service), run.artifact):
            raise StepFailed(
                f"{run.artifact.version} has no traffic in {run.environment.name} any more, though this "
                "release gave it some: it was taken back, and is not brought in again"
            )

    def not_taken_back(self, run: StepRun) -> None:
        """Raise StepFailed when the traffic was taken back from this release: bad numbers, or a person.

        A try that Airflow lost after that must not bring the new version back.
        """
        for event in run.events(Kind.TRAFFIC_WITHDRAWN, Kind.ROLLBACK_FINISHED):
            if event.environment == run.step.environment:
                why = event.data.get("reason") or "rolled back"
                aborted = bool(event.data.get("aborted"))
                raise StepFailed(f"{why}; the traffic is back at the old version", aborted=aborted)


def changes_so_far(run: StepRun, *kinds: Kind) -> list[Event]:
    """Return the changes that the steps of this step's stage began (or events of ``kinds``), oldest first."""
    stage = {s.id for s in run.shape.steps if s.stage == run.step.stage}
    return [e for e in run.events(*(kinds or (Kind.CHANGE_STARTED,))) if e.step in stage]


def previous_of(run: StepRun, platform: Platform) -> Revision | None:
    """Return what was stable before this stage of the release touched the environment.

    Its first change recorded that; before it, the platform is asked.
    """
    if changes := changes_so_far(run):
        found = changes[0].data.get("previous")
        return Revision.model_validate(found) if found else None
    observed = platform.observe(run.environment.name, run.service)
    return observed.stable.revision if observed.stable else None


def seen_at_first(run: StepRun) -> ObservedState:
    """Return what the platform saw when the release's first change of the environment was done."""
    done = [e for e in run.events(Kind.CHANGE_FINISHED) if e.environment == run.step.environment]
    return ObservedState.model_validate(done[0].data["observed"]) if done else ObservedState()


def is_first_deploy(previous: Revision | None, new: Revision) -> bool:
    """Say whether there is no other version to share traffic with."""
    return previous is None or same_revision(previous, new)
