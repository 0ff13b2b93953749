"""What is still to be told, and where it was told: written with the event, delivered later."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Event, Kind
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.record import event_of, release_name
from relman_plugins.plan.routing import Target

ERROR_LIMIT = 1000
"""Characters of the last error that are kept."""


class Message(Frozen):
    """One event that one channel is to be told of."""

    id: int
    event: Event
    channel: str
    """Kind of channel: ``slack``, ``email``, or the name of a notifier."""
    connection: str = ""
    """Airflow connection id; empty for the channel's default."""
    address: str
    """Where on it: ``#rel-checkout``."""
    attempts: int
    """How often delivery failed so far."""


class Thread(Frozen):
    """Where a release's messages are on a channel."""

    ts: str
    """Slack's id of the parent message."""
    channel_id: str
    """Slack's id of the channel."""


class Told(NamedTuple):
    """An event, and what the channel calls the message that tells it."""

    event: Event
    ts: str


class Line(NamedTuple):
    """What is delivered by itself: one channel through one connection. One that is down holds no other."""

    channel: str
    connection: str


class Backlog(Frozen):
    """What waits on one channel, and what was given up there."""

    channel: str
    pending: int
    oldest: datetime | None
    """UTC: when the first of what waits happened."""
    error: str | None
    """Why it waits, as of the latest try."""
    given_up: int = 0
    """Messages that will not be delivered any more."""
    given_up_at: datetime | None = None
    """UTC: when the latest of them was given up."""
    given_up_error: str | None = None
    """Why, of the latest one."""


class _Some(NamedTuple):
    """Some messages of one channel."""

    number: int
    oldest: datetime | None
    latest: datetime | None
    error: str | None


_NOTHING = _Some(0, None, None, None)


class Outbox:
    """The outbox of a ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def lines(self, now: datetime | None = None) -> list[Line]:
        """Return where something may be due at ``now`` (aware), sorted."""
        here = (t.outbox.c.channel, t.outbox.c.connection)
        query = select(*here).where(
            t.outbox.c.state == "pending", t.outbox.c.next_at <= (now or self._db.now())
        )
        with self._db.read() as conn:
            return sorted(Line(*row) for row in conn.execute(query.distinct()))

    def due(self, now: datetime | None = None, limit: int = 50, line: Line | None = None) -> list[Message]:
        """Return what should be delivered at ``now`` (aware), in the order of the events, at most ``limit``.

        An event waits for the earlier ones of its release in the same place, so that a thread reads in
        order; other places don't wait. ``line``: only what goes there.
        """
        now = now or self._db.now()
        earlier = t.outbox.alias()
        blocked = (
            select(1)
            .where(
                earlier.c.release_id == t.outbox.c.release_id,
                earlier.c.channel == t.outbox.c.channel,
                earlier.c.connection == t.outbox.c.connection,
                earlier.c.address == t.outbox.c.address,
                earlier.c.state == "pending",
                earlier.c.id < t.outbox.c.id,
                earlier.c.next_at > now,
            )
            .exists()
        )
        query = (
            select(
                t.event,
                t.outbox.c.id.label("outbox_id"),
                t.outbox.c.channel,
                t.outbox.c.connection,
                t.outbox.c.address,
                t.outbox.c.attempts,
            )
            .join(t.event, t.event.c.id == t.outbox.c.event_id)
            .where(t.outbox.c.state == "pending", t.outbox.c.next_at <= now, ~blocked)
            .order_by(t.outbox.c.id)
            .limit(limit)
        )
        if line is not None:
            query = query.where(t.outbox.c.channel == line.channel, t.outbox.c.connection == line.connection)
        with self._db.read() as conn:
            return [
                Message(
                    id=row["outbox_id"],
                    event=event_of(row),
                    channel=row["channel"],
                    connection=row["connection"],
                    address=row["address"],
                    attempts=row["attempts"],
                )
                for row in conn.execute(query).mappings()
            ]

    def told(self, release_id: str, target: Target, kinds: Collection[Kind]) -> list[Told]:
        """Return the events of these kinds that have a message of their own in one place, oldest first."""
        thread = self.thread(release_id, target.address, target.connection)
        query = (
            select(t.event, t.outbox.c.remote_id)
            .join(t.event, t.event.c.id == t.outbox.c.event_id)
            .where(
                t.outbox.c.release_id == release_id,
                t.outbox.c.channel == target.channel,
                t.outbox.c.connection == target.connection,
                t.outbox.c.address == target.address,
                t.outbox.c.state == "sent",
                t.event.c.kind.in_([kind.value for kind in kinds]),
            )
            .order_by(t.event.c.id)
        )
        with self._db.read() as conn:
            rows = [Told(event_of(row), row["remote_id"]) for row in conn.execute(query).mappings()]
        # What was not worth a message of its own is noted with the release's.
        return [row for row in rows if row.ts and (thread is None or row.ts != thread.ts)]

    def sent(self, message_id: int, remote_id: str) -> None:
        """Note that a message arrived and what the channel calls it. Idempotent."""
        with self._db.write("outbox") as conn:
            conn.execute(
                update(t.outbox)
                .where(t.outbox.c.id == message_id)
                .values(state="sent", remote_id=remote_id, last_error=None)
            )

    def failed(self, message_id: int, error: str, next_at: datetime | None) -> None:
        """Note that a delivery failed and when to try again (aware); None gives the message up."""
        values = {"attempts": t.outbox.c.attempts + 1, "last_error": error[:ERROR_LIMIT]}
        values |= {"state": "dead", "next_at": self._db.now()} if next_at is None else {"next_at": next_at}
        pending = (t.outbox.c.id == message_id) & (t.outbox.c.state == "pending")
        with self._db.write("outbox") as conn:
            conn.execute(update(t.outbox).where(pending).values(values))

    def give_up(self, before: datetime, attempts: int) -> list[Backlog]:
        """Give up what happened before (aware) and was tried so often; return it by channel."""
        old = (
            (t.outbox.c.state == "pending")
            & (t.outbox.c.attempts >= attempts)
            & t.outbox.c.event_id.in_(select(t.event.c.id).where(t.event.c.at < before))
        )
        now = self._db.now()
        with self._db.write("outbox") as conn:
            given_up = conn.execute(update(t.outbox).where(old).values(state="dead", next_at=now)).rowcount
        return [b for b in self.backlog(since=now) if b.given_up] if given_up else []

    def delay(self, line: Line, until: datetime) -> None:
        """Try nothing there before ``until`` (aware): it asked for a pause."""
        early = (
            (t.outbox.c.channel == line.channel)
            & (t.outbox.c.connection == line.connection)
            & (t.outbox.c.state == "pending")
            & (t.outbox.c.next_at < until)
        )
        with self._db.write("outbox") as conn:
            conn.execute(update(t.outbox).where(early).values(next_at=until))

    def pending(self, line: Line | None = None) -> int:
        """Return how many messages wait to be delivered, there or anywhere."""
        query = select(func.count()).select_from(t.outbox).where(t.outbox.c.state == "pending")
        if line is not None:
            query = query.where(t.outbox.c.channel == line.channel, t.outbox.c.connection == line.connection)
        with self._db.read() as conn:
            return int(conn.execute(query).scalar_one())

    def backlog(self, since: datetime | None = None) -> list[Backlog]:
        """Return what waits, and what was given up at ``since`` (aware) or later, by channel."""
        dead = t.outbox.c.state == "dead"
        if since is not None:
            dead &= t.outbox.c.next_at >= since
        with self._db.read() as conn:
            waits = self._by_channel(conn, t.outbox.c.state == "pending")
            gone = self._by_channel(conn, dead)
        found = []
        for channel in sorted({*waits, *gone}):
            here, lost = waits.get(channel, _NOTHING), gone.get(channel, _NOTHING)
            found.append(
                Backlog(
                    channel=channel,
                    pending=here.number,
                    oldest=here.oldest,
                    error=here.error,
                    given_up=lost.number,
                    given_up_at=lost.latest,
                    given_up_error=lost.error,
                )
            )
        return found

    def _by_channel(self, conn: Connection, which: ColumnElement[bool]) -> dict[str, _Some]:
        counted = (
            select(
                t.outbox.c.channel,
                func.count().label("count"),
                func.min(t.outbox.c.event_id).label("first"),
                func.max(t.outbox.c.next_at).label("latest"),
            )
            .where(which)
            .group_by(t.outbox.c.channel)
        )
        found = {}
        for channel, count, first, latest in conn.execute(counted).all():
            errors = (
                select(t.outbox.c.last_error)
                .where(which, t.outbox.c.channel == channel, t.outbox.c.last_error.is_not(None))
                .order_by(t.outbox.c.next_at.desc())
                .limit(1)
            )
            oldest = conn.execute(select(t.event.c.at).where(t.event.c.id == first)).scalar_one()
            found[channel] = _Some(count, oldest, latest, conn.execute(errors).scalar())
        return found

    def thread(self, release_id: str, address: str, connection: str = "") -> Thread | None:
        """Return where the messages of a release are; ``address`` is as in ``#rel-checkout``."""
        query = select(t.thread.c.ts, t.thread.c.channel_id).where(
            t.thread.c.release_id == release_id, t.thread.c.channel == _place(address, connection)
        )
        with self._db.read() as conn:
            row = conn.execute(query).mappings().first()
        return None if row is None else Thread.model_validate(dict(row))

    def set_thread(
        self, release_id: str, address: str, ts: str, channel_id: str, connection: str = ""
    ) -> None:
        """Note where the messages of a release are; a later note replaces an earlier one."""
        place = _place(address, connection)
        here = (t.thread.c.release_id == release_id) & (t.thread.c.channel == place)
        with self._db.write(release_name(release_id)) as conn:
            conn.execute(delete(t.thread).where(here))
            conn.execute(
                insert(t.thread).values(release_id=release_id, channel=place, ts=ts, channel_id=channel_id)
            )


def _place(address: str, connection: str) -> str:
    # Of two workspaces both may have a channel of that name.
    return f"{connection} {address}" if connection else address
