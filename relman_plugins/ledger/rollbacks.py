"""Rollbacks of releases that have ended: who asked for one, what became of it, what it is decided by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.state import Revision
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.record import event_of

KINDS = (Kind.ROLLBACK_REQUESTED, Kind.ROLLBACK_FINISHED, Kind.ROLLBACK_REFUSED, Kind.ROLLBACK_FAILED)
"""What :func:`asked_of` reads."""

_CHANGES = (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED, Kind.ENVIRONMENT_REMOVED)


class Asked(Frozen):
    """Somebody asked for the rollback of a release that had ended."""

    id: int
    """Id of the event that asked."""
    release_id: str
    environment: str
    n: int
    """Which request of this release and environment it is, from 1."""
    key: str
    """Idempotency key of the request; what is done for it carries it as ``request``."""
    actor: Actor
    reason: str
    at: datetime
    """UTC."""
    to: Revision | None = None
    """What the environment is to go back to, as it was shown."""
    state: str = "asked"
    """``asked``, and in the end ``finished``, ``refused`` or ``failed``."""
    message: str = ""
    """What became of it so far, in words."""
    ended_at: datetime | None = None
    """UTC."""

    @property
    def ended(self) -> bool:
        """Say whether nothing is to be done for it any more."""
        return self.state != "asked"


def key_of(release_id: str, environment: str, n: int) -> str:
    """Return the idempotency key of the ``n``-th request: of two at once, one is recorded."""
    return f"{release_id}:rollback_requested:{environment}:{n}"


def asked_of(events: Iterable[Event]) -> list[Asked]:
    """Return the requests of a release from its events (``KINDS`` suffice), oldest first.

    Only people ask: what a machine wrote is no request.
    """
    found: dict[str, Asked] = {}
    counted: dict[str, int] = {}
    for event in events:
        data = event.data
        if event.kind is Kind.ROLLBACK_REQUESTED and event.actor.kind == "person":
            environment = event.environment or ""
            counted[environment] = counted.get(environment, 0) + 1
            found[event.key] = Asked(
                id=event.id,
                release_id=event.release_id,
                environment=environment,
                n=counted[environment],
                key=event.key,
                actor=event.actor,
                reason=str(data.get("reason", "")),
                at=event.at,
                to=Revision.model_validate(data["to"]) if data.get("to") else None,
            )
        elif event.kind in KINDS and (asked := found.get(str(data.get("request")))) and not asked.ended:
            message = str(data.get("message", ""))
            if event.kind is Kind.ROLLBACK_FAILED and not data.get("final", True):
                change: dict[str, Any] = {"message": message}
            else:
                state = event.kind.value.partition(".")[2]
                change = {"state": state, "message": message, "ended_at": event.at}
            found[asked.key] = asked.model_copy(update=change)
    return list(found.values())


def last_asked(events: Iterable[Event], environment: str) -> Asked | None:
    """Return the latest request for an environment, ended or not."""
    return next((a for a in reversed(asked_of(events)) if a.environment == environment), None)


def asked_since(db: Database, since: datetime) -> list[Asked]:
    """Return the requests of all releases since then (aware) that have no end yet, oldest first."""
    query = select(t.event.c.release_id).where(
        t.event.c.kind == Kind.ROLLBACK_REQUESTED.value, t.event.c.recorded_at >= since
    )
    with db.read() as conn:
        ids = list(conn.execute(query.distinct()).scalars())
        rows = conn.execute(
            select(t.event)
            .where(t.event.c.release_id.in_(ids), t.event.c.kind.in_([k.value for k in KINDS]))
            .order_by(t.event.c.id)
        ).mappings()
        return [a for a in asked_of(event_of(row) for row in rows) if not a.ended and a.at >= since]


def last_change(
    db: Database, environment: str, service: str, *, before: int | None = None, finished: bool = False
) -> Event | None:
    """Return the latest change or removal of an environment, of any release; None when there was none.

    ``before``: only events with a lower id. ``finished``: only changes that have ended.
    """
    kinds = (Kind.CHANGE_FINISHED,) if finished else _CHANGES
    query = _of(service, kinds).where(t.event.c.environment == environment)
    if before is not None:
        query = query.where(t.event.c.id < before)
    with db.read() as conn:
        row = conn.execute(query.order_by(t.event.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else event_of(row)


def built(db: Database, service: str, version: str) -> list[Revision]:
    """Return every artifact that is on record for a version of a service, oldest first."""
    query = _of(service, (Kind.ARTIFACT_BUILT,)).where(t.release.c.version == version)
    with db.read() as conn:
        rows = list(conn.execute(query.order_by(t.event.c.id)).mappings())
    return [Revision.model_validate(event_of(row).data["revision"]) for row in rows]


def _of(service: str, kinds: Iterable[Kind]) -> Select[tuple[object, ...]]:
    return (
        select(t.event)
        .join(t.release, t.release.c.release_id == t.event.c.release_id)
        .where(t.release.c.service == service, t.event.c.kind.in_([k.value for k in kinds]))
    )
