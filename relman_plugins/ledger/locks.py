"""The lock of an environment and service: one release at a time, with a fencing token."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.errors import LedgerConflict, Refused
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database, serialise
from relman_plugins.ledger.record import insert_event, release_name


class Lock(Frozen):
    """A lock as it is held."""

    environment: str
    service: str
    release_id: str
    token: int
    """Fencing token: grows with every new holder of this environment and service, and never comes again."""
    acquired_at: datetime
    """UTC."""
    expires_at: datetime
    """UTC; from then on others may take the lock."""


class Busy(Frozen):
    """Somebody else holds the lock."""

    environment: str
    service: str
    holder: str
    """Id of the release that holds it."""
    since: datetime
    """UTC."""
    expires_at: datetime
    """UTC."""


class Locks:
    """The locks of a ledger. Every call is one transaction; every change of hands is an event."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def acquire(self, environment: str, service: str, release_id: str, ttl_s: float) -> Lock | Busy:
        """Take the lock for ``ttl_s`` seconds.

        Re-entrant: the release that holds it keeps its token and gets at least ``ttl_s`` from now. An expired
        lock of another release is taken over with a new, higher token. Raises LedgerError for an unknown
        release.
        """
        with self._db.write(_name(environment, service)) as conn:
            now = self._db.now()
            until = now + timedelta(seconds=ttl_s)
            held = _held(conn, environment, service)
            serialise(conn, release_name(release_id), release_name(held.release_id if held else release_id))
            if held is not None and held.release_id == release_id:
                return _extend(conn, held, until)
            if held is not None and held.expires_at > now:
                return Busy(
                    environment=environment,
                    service=service,
                    holder=held.release_id,
                    since=held.acquired_at,
                    expires_at=held.expires_at,
                )
            if held is not None:
                _drop(conn, held, Kind.LOCK_EXPIRED, Actor(), now)
            lock = Lock(
                environment=environment,
                service=service,
                release_id=release_id,
                token=_next_token(conn, environment, service),
                acquired_at=now,
                expires_at=until,
            )
            _tell(conn, lock, Kind.LOCK_ACQUIRED, Actor(), now)
            conn.execute(insert(t.lock).values(lock.model_dump()))
            return lock

    def renew(self, lock: Lock, ttl_s: float) -> Lock:
        """Extend a lock to at least ``ttl_s`` seconds from now.

        Raises LedgerConflict when it isn't held with this token any more: it expired and was taken, was
        broken, or was released.
        """
        with self._db.write(_name(lock.environment, lock.service)) as conn:
            held = _held(conn, lock.environment, lock.service)
            if held is None or held.token != lock.token:
                now = f"{held.release_id} holds it with token {held.token}" if held else "nobody holds it"
                raise LedgerConflict(
                    f"lock of {lock.service} in {lock.environment}: {lock.release_id} lost token "
                    f"{lock.token}, now {now}; stop changing the environment"
                )
            return _extend(conn, held, self._db.now() + timedelta(seconds=ttl_s))

    def advance(self, environment: str, service: str, release_id: str) -> Lock | None:
        """Give the lock that this release holds a new, higher token; None when it does not hold it.

        What an earlier step of the same release still has under way, in a lost process, is fenced
        off as soon as the new token is used.
        """
        with self._db.write(_name(environment, service)) as conn:
            held = _held(conn, environment, service)
            if held is None or held.release_id != release_id:
                return None
            serialise(conn, release_name(release_id))
            lock = held.model_copy(update={"token": _next_token(conn, environment, service)})
            conn.execute(update(t.lock).where(_here(t.lock, environment, service)).values(token=lock.token))
            _tell(conn, lock, Kind.LOCK_ACQUIRED, Actor(), self._db.now())
            return lock

    def release(self, environment: str, service: str, release_id: str) -> bool:
        """Give the lock back. Idempotent: False, with nothing done, when this release doesn't hold it."""
        with self._db.write(_name(environment, service)) as conn:
            held = _held(conn, environment, service)
            if held is None or held.release_id != release_id:
                return False
            serialise(conn, release_name(release_id))
            _drop(conn, held, Kind.LOCK_RELEASED, Actor(), self._db.now())
            return True

    def break_lock(
        self, environment: str, service: str, *, actor: Actor, reason: str, token: int | None = None
    ) -> Lock | None:
        """Take the lock away from whoever holds it; return what was broken, None when nothing was held.

        The holder's token is fenced off as soon as the next holder changes the environment. Raises Refused
        unless a person does it and says why, and when ``token`` is not the lock's any more: it has changed
        hands since somebody decided to break it.
        """
        if actor.kind != "person" or not reason.strip():
            raise Refused(
                f"the lock of {service} in {environment} is broken only by a named person who gives a reason"
            )
        with self._db.write(_name(environment, service)) as conn:
            held = _held(conn, environment, service)
            if held is None:
                return None
            if token not in (None, held.token):
                raise Refused(
                    f"the lock of {service} in {environment} changed hands: {held.release_id} holds it since "
                    f"{held.acquired_at.isoformat(timespec='seconds')}; look again, then decide"
                )
            serialise(conn, release_name(held.release_id))
            _drop(conn, held, Kind.LOCK_BROKEN, actor, self._db.now(), {"reason": reason})
            return held

    def expire(self, now: datetime | None = None) -> list[Lock]:
        """Remove the locks whose time is over; return them. ``now`` is aware."""
        now = now or self._db.now()
        gone = []
        for lock in [lock for lock in self.held() if lock.expires_at <= now]:
            with self._db.write(_name(lock.environment, lock.service)) as conn:
                held = _held(conn, lock.environment, lock.service)
                # It may have been renewed, or have changed hands, since it was listed.
                if held is not None and held.token == lock.token and held.expires_at <= now:
                    serialise(conn, release_name(held.release_id))
                    _drop(conn, held, Kind.LOCK_EXPIRED, Actor(), self._db.now())
                    gone.append(held)
        return gone

    def held(self, release_id: str | None = None) -> list[Lock]:
        """Return the locks held (by one release), expired ones included, by environment and service."""
        query = select(t.lock).order_by(t.lock.c.environment, t.lock.c.service)
        if release_id is not None:
            query = query.where(t.lock.c.release_id == release_id)
        with self._db.read() as conn:
            return [Lock.model_validate(dict(row)) for row in conn.execute(query).mappings()]


def _name(environment: str, service: str) -> str:
    return f"lock:{environment}/{service}"


def _here(table: Any, environment: str, service: str) -> Any:
    return (table.c.environment == environment) & (table.c.service == service)


def _held(conn: Connection, environment: str, service: str) -> Lock | None:
    row = conn.execute(select(t.lock).where(_here(t.lock, environment, service))).mappings().first()
    return None if row is None else Lock.model_validate(dict(row))


def _extend(conn: Connection, lock: Lock, until: datetime) -> Lock:
    if until <= lock.expires_at:
        return lock
    conn.execute(update(t.lock).where(_here(t.lock, lock.environment, lock.service)).values(expires_at=until))
    return lock.model_copy(update={"expires_at": until})


def _next_token(conn: Connection, environment: str, service: str) -> int:
    here = _here(t.token, environment, service)
    last = conn.execute(select(t.token.c.last).where(here)).scalar()
    if last is None:
        conn.execute(insert(t.token).values(environment=environment, service=service, last=1))
        return 1
    conn.execute(update(t.token).where(here).values(last=last + 1))
    return int(last) + 1


def _drop(
    conn: Connection, lock: Lock, kind: Kind, actor: Actor, now: datetime, extra: dict[str, Any] | None = None
) -> None:
    conn.execute(delete(t.lock).where(_here(t.lock, lock.environment, lock.service)))
    _tell(conn, lock, kind, actor, now, extra)


def _tell(
    conn: Connection, lock: Lock, kind: Kind, actor: Actor, now: datetime, extra: dict[str, Any] | None = None
) -> None:
    event = NewEvent(
        kind=kind,
        key=f"ledger:{kind}:{lock.environment}/{lock.service}:{lock.token}",
        environment=lock.environment,
        actor=actor,
        data={"service": lock.service, "token": lock.token, "holder": lock.release_id, **(extra or {})},
    )
    insert_event(conn, lock.release_id, event, now)
