"""Where a release that has ended can go back to, by what is recorded; or why it can't."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.state import DesiredState, Revision
from relman_plugins.errors import Refused
from relman_plugins.ledger.others import UNNAMED, called, in_flight
from relman_plugins.ledger.releases import ReleaseRecord
from relman_plugins.ledger.rollbacks import Asked
from relman_plugins.plan.model import EnvironmentPlan, StepKind
from relman_plugins.strategies.api import same_revision, withdrawn

if TYPE_CHECKING:
    from relman_plugins.ledger.engine import Ledger


class WayBack(Frozen):
    """What a rollback of a release would do in one environment."""

    release_id: str
    environment: str
    service: str
    step: str
    """The step of the plan that it is recorded under."""
    current: Revision
    """What the release brought, and what is there now."""
    to: Revision
    """What was stable before the release's first change."""
    present: DesiredState
    """The environment as the last change left it, but for those of this rollback."""
    desired: DesiredState
    """The environment as the record says that it was before, replicas and configuration included."""
    others: tuple[str, ...] = ()
    """Other environments that the release changed; they stay as they are."""
    on_record: bool = False
    """Whether relman built what it goes back to; if not, it was there before relman."""
    begun: bool = False
    """Whether this very rollback has begun already."""


def way_back(
    ledger: Ledger, record: ReleaseRecord, environment: str = "", asked: Asked | None = None
) -> WayBack:
    """Return the way back of a release that has ended; raise Refused with what, why and what next if none.

    Read from the record alone; the platform isn't asked. Windows, freezes, approvals and holds play no part.

    Args:
        ledger: Where the record is.
        record: The release.
        environment: Which of those that it changed; empty for the last one of its plan.
        asked: The request that is being carried out: what was done for it already is no obstacle.

    Raises:
        Refused: There is no way back.
    """
    events = ledger.events(record.release_id)
    changes = _changes(record, events)
    name = _environment(record, changes, environment)
    first = next(e for e in changes if e.environment == name)
    mine = _artifact(record, events)
    to = _previous(record, name, mine, first)
    service = record.plan.shape.service
    begun = _not_taken(ledger, record, name, asked)
    since = asked.id if asked and begun else None
    present = _present(ledger, record, name, mine, to, since)
    built = ledger.built(service, to.version)
    if built and not any(same_revision(b, to) for b in built):
        raise Refused(
            f"{to.version} was in {name} before {record.release_id}, but with the artifact {to.digest}: no "
            f"release of {to.version} has it on record; release a version that you trust instead"
        )
    return WayBack(
        release_id=record.release_id,
        environment=name,
        service=service,
        step=_step(record, name, first),
        current=mine,
        to=to,
        present=present,
        desired=_before(ledger, record.plan.shape.environment(name), service, to, first),
        others=tuple(dict.fromkeys(e.environment for e in changes if e.environment not in (None, name))),
        on_record=bool(built),
        begun=begun,
    )


def _changes(record: ReleaseRecord, events: list[Event]) -> list[Event]:
    """Return the changes that the release made while it was under way, of environments that stay."""
    closed = next((e for e in events if e.kind is Kind.RELEASE_CLOSED), None)
    if closed is None:
        raise Refused(
            f"release {record.release_id} is still under way: `relman abort {record.release_id} --reason …` "
            "stops it and takes its traffic back; a rollback is for a release that has ended"
        )
    lasting = {e.name for e in record.plan.shape.environments if not e.ephemeral}
    return [
        e for e in events if e.kind is Kind.CHANGE_STARTED and e.id < closed.id and e.environment in lasting
    ]


def _environment(record: ReleaseRecord, changes: list[Event], wanted: str) -> str:
    changed = list(dict.fromkeys(e.environment or "" for e in changes))
    if not changed:
        raise Refused(
            f"release {record.release_id} changed no environment that is still there, so there is nothing to "
            "roll back"
        )
    if wanted and wanted not in changed:
        raise Refused(
            f"release {record.release_id} did not change {wanted!r}; it changed {', '.join(changed)}"
        )
    order = [s.environment for s in record.plan.shape.steps]
    return wanted or max(changed, key=lambda name: len(order) - order[::-1].index(name))


def _artifact(record: ReleaseRecord, events: list[Event]) -> Revision:
    built = [e for e in events if e.kind is Kind.ARTIFACT_BUILT]
    if not built:
        raise Refused(f"release {record.release_id} has no recorded artifact, so nothing of it is anywhere")
    return Revision.model_validate(built[-1].data["revision"])


def _previous(record: ReleaseRecord, name: str, mine: Revision, first: Event) -> Revision:
    found = first.data.get("previous")
    if not found:
        raise Refused(
            f"nothing ran in {name} before {record.release_id}: it was the first deploy there, so there is "
            f"no version to go back to; `relman release {record.pipeline} VERSION` brings another one"
        )
    previous = Revision.model_validate(found)
    if same_revision(previous, mine):
        raise Refused(
            f"{record.release_id} found {mine.version} in {name} already and brought nothing new; roll back "
            "the earlier release that brought it (`relman status` lists them)"
        )
    return previous


def _not_taken(ledger: Ledger, record: ReleaseRecord, name: str, asked: Asked | None) -> bool:
    """Raise Refused while another release is in the environment; say whether this rollback has begun."""
    service = record.plan.shape.service
    for lock in ledger.locks.held():
        if (lock.environment, lock.service) != (name, service) or lock.release_id == record.release_id:
            continue
        if lock.expires_at > ledger.now():
            raise Refused(in_flight(ledger, lock.release_id, record.pipeline, name, lock.acquired_at))
    last = ledger.last_change(name, service)
    return (
        asked is not None
        and last is not None
        and last.release_id == record.release_id
        and f":{attempt_of(asked)}:" in last.key
    )


def attempt_of(asked: Asked) -> str:
    """Return what marks the keys of the changes that are made for a request."""
    return f"asked{asked.n}"


def _present(
    ledger: Ledger, record: ReleaseRecord, name: str, mine: Revision, to: Revision, since: int | None
) -> DesiredState:
    """Return the environment as it is on record; raise Refused unless this release's version is there.

    ``since``: id of the event from which on changes are those of this rollback.
    """
    last = ledger.last_change(name, record.plan.shape.service, before=since)
    gone = last is None or last.kind is Kind.ENVIRONMENT_REMOVED
    now = DesiredState() if last is None or gone else DesiredState.model_validate(last.data["desired"])
    if now.candidate is None and now.stable and same_revision(now.stable, mine):
        return now
    if now.candidate is None and now.stable and same_revision(now.stable, to):
        raise Refused(f"{name} is back at {to.version} already; there is nothing to roll back")
    whose = last.release_id if last else record.release_id
    what = f"{now.stable.version} is there now" if now.stable else "nothing is there now"
    if whose == record.release_id:
        raise Refused(
            f"{name} is not at {mine.version} any more: {what}; `relman ledger show {whose}` says how"
        )
    if (other := called(ledger, whose, record.pipeline)) == UNNAMED:
        raise Refused(
            f"{other} changed {name} after {record.release_id}: {what}; that one is rolled back first"
        )
    raise Refused(
        f"release {other} changed {name} after {record.release_id}: {what}; what it brought is rolled back "
        f"by `relman rollback {other} --reason …`"
    )


def _before(
    ledger: Ledger, environment: EnvironmentPlan, service: str, to: Revision, first: Event
) -> DesiredState:
    """Return the state before the release's first change; by its own plan when it is not on record."""
    last = ledger.last_change(environment.name, service, before=first.id, finished=True)
    if last is not None:
        found = DesiredState.model_validate(last.data["desired"])
        if found.candidate is None and found.stable and same_revision(found.stable, to):
            return found.model_copy(update={"stable": to, "rolling": None, "returning": True})
    return withdrawn(to, environment.replicas, environment.config)


def _step(record: ReleaseRecord, name: str, first: Event) -> str:
    own = (s.id for s in record.plan.shape.steps if s.environment == name and s.kind is StepKind.ROLLBACK)
    return next(own, first.step or "rollback")
