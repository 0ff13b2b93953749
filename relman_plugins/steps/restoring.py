"""Taking back what a release left in the middle of a change, when its own rollback did not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.state import Revision
from relman_plugins.errors import StaleToken
from relman_plugins.hooks.change import Change, converge, time_for
from relman_plugins.hooks.platform import platform_of
from relman_plugins.strategies.api import withdrawn

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord

LOCK_TTL_S = 600.0


def bring_back(ledger: Ledger, release: ReleaseRecord, name: str, step: str) -> str:
    """Converge an environment to what was stable before the release; return what was found, in words.

    Done under the token of the release's own changes, so that what another release did since is never undone.

    Raises:
        PlatformError: the platform does not do it; trying again can help.
    """
    from relman_plugins.ledger.api import Busy, called

    shape = release.plan.shape
    environment = shape.environment(name)
    events = ledger.events(release.release_id, kinds=[Kind.CHANGE_STARTED])
    changes = [e for e in events if e.environment == name]
    lock = ledger.locks.acquire(name, shape.service, release.release_id, LOCK_TTL_S + time_for(environment))
    if isinstance(lock, Busy):
        return f"{name} belongs to {called(ledger, lock.holder, release.pipeline)} by now"
    found = changes[0].data.get("previous")
    previous = Revision.model_validate(found) if found else None
    change = Change(
        environment=name,
        service=shape.service,
        step=step,
        desired=withdrawn(previous, environment.replicas, environment.config),
        token=max(int(e.data["token"]) for e in changes),
        attempt=f"restore:{datetime.now(UTC):%Y%m%dT%H%M%S}",
        previous=previous,
    )

    def record(event: NewEvent) -> None:
        ledger.record(release.release_id, event)

    try:
        converge(change, platform_of(environment), record, release.release_id, time_for(environment))
    except StaleToken:
        return f"{name} was changed by another release since"
    finally:
        if lock.token != change.token:
            ledger.locks.release(name, shape.service, release.release_id)
    return f"{name} was taken back to {previous.version if previous else 'nothing'}"
