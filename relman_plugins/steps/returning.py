"""Rolling back a release that has ended, because somebody asked for it.

Done by the task of ``relman_rollback``, and by ``relman_maintenance`` when that can't. Both may do it at
once: they converge to the same state, under the lock of the same release, and every event is recorded once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relman_plugins import telemetry
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.state import ObservedState
from relman_plugins.errors import PlatformError, PlatformRejected, Refused, StaleToken
from relman_plugins.hooks.change import Change, converge, time_for
from relman_plugins.hooks.platform import platform_of
from relman_plugins.platforms.archive import check
from relman_plugins.steps.restoring import LOCK_TTL_S
from relman_plugins.strategies.api import same_revision

if TYPE_CHECKING:
    from relman_plugins.domain.state import DesiredState
    from relman_plugins.hooks.recorder import Recorder
    from relman_plugins.ledger.api import Asked, Ledger, Lock, ReleaseRecord, WayBack
    from relman_plugins.platforms.base import Platform


def go_back(ledger: Ledger, release: ReleaseRecord, asked: Asked, recorder: Recorder) -> str:
    """Carry out a request that has no end yet; return what was done, in words. Idempotent.

    Holds, windows, freezes and approvals are not looked at: nothing of that kind blocks a rollback.

    Args:
        ledger: Where the record is.
        release: The release to roll back.
        asked: The request, as the ledger has it.
        recorder: Takes the events; with a spool, so that a ledger that goes away does not stop what began.

    Raises:
        Refused: There is no way back; recorded as the request's end.
        RelmanError: It could not be done now; trying again can help.
    """
    try:
        return _go_back(ledger, release, asked, recorder)
    except Refused as error:
        _record(recorder, asked, Kind.ROLLBACK_REFUSED, "refused", {"message": str(error)})
        ledger.locks.release(asked.environment, release.service, release.release_id)
        raise


def broke(
    ledger: Ledger, release: ReleaseRecord, asked: Asked, recorder: Recorder, error: str, *, final: bool
) -> None:
    """Record that a try broke, once; with ``final``: nothing is tried any more until somebody asks again."""
    data = {"message": error, "final": final}
    _record(recorder, asked, Kind.ROLLBACK_FAILED, "failed" if final else "broke", data)
    if final:
        ledger.locks.release(asked.environment, release.service, release.release_id)


def _go_back(ledger: Ledger, release: ReleaseRecord, asked: Asked, recorder: Recorder) -> str:
    from relman_plugins.ledger.api import last_asked, way_back
    from relman_plugins.ledger.rollbacks import KINDS

    known = last_asked(ledger.events(release.release_id, kinds=KINDS), asked.environment)
    if known is not None and known.key == asked.key and known.ended:
        return known.message
    way_back(ledger, release, asked.environment, asked)
    lock = _lock(ledger, release, asked)
    # Again, now that nobody else can change the environment.
    way = way_back(ledger, release, asked.environment, asked)
    if way.begun and (again := ledger.locks.advance(way.environment, way.service, release.release_id)):
        # A try whose process is lost may still be converging: it must not land after this one.
        lock = again
    environment = release.plan.shape.environment(way.environment)
    platform = platform_of(environment)
    seen = platform.observe(way.environment, way.service)
    _is_ours(way, seen)
    if not seen.matches(way.desired) and environment.workload is None:
        # On Kubernetes it is the image that runs: the cluster says whether it has it.
        try:
            check(way.to)
        except PlatformRejected as error:
            raise Refused(f"{error}; {way.current.version} stays in {way.environment}") from error
    observed = _changed(way, asked, lock, platform, recorder, time_for(environment))
    message = (
        f"{way.environment} is back at {way.to.version}, which was there before {release.release_id} "
        f"({way.current.version}), as {asked.actor.name or asked.actor.id} asked for"
        + "".join(f"; {m}" for m in observed.messages)
    )
    data = {
        "from": way.current.model_dump(mode="json"),
        "to": way.to.model_dump(mode="json"),
        # What somebody else set may be a secret.
        "observed": observed.model_dump(mode="json", exclude={"config"}),
        "message": message,
    }
    _record(recorder, asked, Kind.ROLLBACK_FINISHED, "finished", data, step=way.step)
    ledger.locks.release(way.environment, way.service, release.release_id)
    seconds = (datetime.now(UTC) - asked.at).total_seconds()
    telemetry.took("rollback.duration", seconds, pipeline=release.pipeline, environment=way.environment)
    return message


def _lock(ledger: Ledger, release: ReleaseRecord, asked: Asked) -> Lock:
    from relman_plugins.ledger.api import Busy, in_flight

    # Long enough for the way back, and for putting back what is there should that fail.
    ttl_s = LOCK_TTL_S + 2 * time_for(release.plan.shape.environment(asked.environment))
    lock = ledger.locks.acquire(asked.environment, release.service, release.release_id, ttl_s)
    if isinstance(lock, Busy):
        raise Refused(in_flight(ledger, lock.holder, release.pipeline, asked.environment, lock.since))
    return lock


def _is_ours(way: WayBack, seen: ObservedState) -> None:
    """Raise Refused when the platform runs something that neither this release nor its rollback brought."""
    there = [s.revision for s in (seen.stable, seen.candidate) if s]
    strange = [r for r in there if not same_revision(r, way.current) and not same_revision(r, way.to)]
    if strange:
        raise Refused(
            f"{way.environment} runs {strange[0].version} ({strange[0].digest}), which is neither "
            f"{way.current.version} nor {way.to.version} of the record: somebody changed it past relman, and "
            "what they did is not undone; put it back, or release the version that is to be there"
        )


def _changed(
    way: WayBack, asked: Asked, lock: Lock, platform: Platform, recorder: Recorder, timeout_s: float
) -> ObservedState:
    change = _change(way, asked, lock, way.desired)
    try:
        return converge(change, platform, recorder.record, way.release_id, timeout_s)
    except StaleToken:
        # Of a later try of the same request, or of another release: the next look at the record tells.
        raise
    except PlatformRejected as error:
        try:
            again = _change(way, asked, lock, way.present, "put-back")
            converge(again, platform, recorder.record, way.release_id, timeout_s)
            stays = f"{way.current.version} stays there, as it was"
        except PlatformError as worse:
            stays = f"and putting {way.current.version} back did not work either: {worse}"
        raise Refused(
            f"{way.environment} does not take {way.to.version}: {error}; {stays}. Release a version that "
            "starts there"
        ) from error


def _change(way: WayBack, asked: Asked, lock: Lock, desired: DesiredState, label: str = "back") -> Change:
    from relman_plugins.ledger.way_back import attempt_of

    return Change(
        environment=way.environment,
        service=way.service,
        step=way.step,
        desired=desired,
        token=lock.token,
        attempt=f"{attempt_of(asked)}:token{lock.token}:{label}",
        previous=way.current,
    )


def _record(
    recorder: Recorder, asked: Asked, kind: Kind, suffix: str, data: dict[str, Any], step: str | None = None
) -> None:
    recorder.record(
        NewEvent(
            kind=kind,
            key=f"{asked.key}:{suffix}",
            step=step,
            environment=asked.environment,
            data={"request": asked.key, **data},
            at=datetime.now(UTC),
        )
    )
