"""What is still to be told, and where it was told: written with the event, delivered later."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Event
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.record import event_of, release_name

ERROR_LIMIT = 1000
"""Characters of the last error that are kept."""


class Message(Frozen):
    """One event that one channel is to be told of."""

    id: int
    event: Event
    channel: str
    """Kind of channel: ``slack``."""
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


class Outbox:
    """The outbox of a ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def due(self, now: datetime | None = None, limit: int = 50) -> list[Message]:
        """Return what should be delivered at ``now`` (aware), in the order of the events, at most ``limit``.

        An event waits for the earlier ones of its release, so that a thread reads in order.
        """
        now = now or self._db.now()
        earlier = t.outbox.alias()
        blocked = (
            select(1)
            .where(
                earlier.c.release_id == t.outbox.c.release_id,
                earlier.c.channel == t.outbox.c.channel,
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
                t.outbox.c.address,
                t.outbox.c.attempts,
            )
            .join(t.event, t.event.c.id == t.outbox.c.event_id)
            .where(t.outbox.c.state == "pending", t.outbox.c.next_at <= now, ~blocked)
            .order_by(t.outbox.c.id)
            .limit(limit)
        )
        with self._db.read() as conn:
            return [
                Message(
                    id=row["outbox_id"],
                    event=event_of(row),
                    channel=row["channel"],
                    address=row["address"],
                    attempts=row["attempts"],
                )
                for row in conn.execute(query).mappings()
            ]

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
        values |= {"state": "dead"} if next_at is None else {"next_at": next_at}
        pending = (t.outbox.c.id == message_id) & (t.outbox.c.state == "pending")
        with self._db.write("outbox") as conn:
            conn.execute(update(t.outbox).where(pending).values(values))

    def delay(self, channel: str, until: datetime) -> None:
        """Try nothing on a kind of channel before ``until`` (aware): it asked for a pause."""
        early = (
            (t.outbox.c.channel == channel) & (t.outbox.c.state == "pending") & (t.outbox.c.next_at < until)
        )
        with self._db.write("outbox") as conn:
            conn.execute(update(t.outbox).where(early).values(next_at=until))

    def pending(self) -> int:
        """Return how many messages wait to be delivered."""
        query = select(func.count()).select_from(t.outbox).where(t.outbox.c.state == "pending")
        with self._db.read() as conn:
            return int(conn.execute(query).scalar_one())

    def thread(self, release_id: str, channel: str) -> Thread | None:
        """Return where the messages of a release are; ``channel`` is the address, as in ``#rel-checkout``."""
        query = select(t.thread.c.ts, t.thread.c.channel_id).where(
            t.thread.c.release_id == release_id, t.thread.c.channel == channel
        )
        with self._db.read() as conn:
            row = conn.execute(query).mappings().first()
        return None if row is None else Thread.model_validate(dict(row))

    def set_thread(self, release_id: str, channel: str, ts: str, channel_id: str) -> None:
        """Note where the messages of a release are; a later note replaces an earlier one."""
        here = (t.thread.c.release_id == release_id) & (t.thread.c.channel == channel)
        with self._db.write(release_name(release_id)) as conn:
            conn.execute(delete(t.thread).where(here))
            conn.execute(
                insert(t.thread).values(release_id=release_id, channel=channel, ts=ts, channel_id=channel_id)
            )
