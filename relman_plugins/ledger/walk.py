"""Walking along the hash chain from its first event to its head, and naming what does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from relman_plugins.domain.chain import FIRST, Head
from relman_plugins.ledger.chain import computed, head, raw_events

_CHUNK = 2000


class Walk:
    """One walk; ``problems`` is to be used up before the rest is asked for."""

    def __init__(self, conn: Connection, anchor: str = "") -> None:
        self._conn = conn
        self._anchor = anchor
        self.head = head(conn) or Head(id=0, hash=FIRST, length=0)
        """Where the ledger says that the chain ends."""
        self.anchored_at = 0
        """Id of the event whose hash is the anchor; 0 while it was not met."""
        self.length = 0
        """Links met so far."""
        self._id, self._prev, self._before = 0, FIRST, FIRST
        self._releases: dict[str, str] = {}

    def problems(self) -> Iterator[str]:
        """Yield what is wrong in the order of the chain: the first is the first event that was meddled with.

        A row that was changed is named itself. Where one was removed or put in, its neighbours are. What
        follows is checked as if that had not been, so that one deed is told once for each chain.
        """
        for row in self._conn.execution_options(yield_per=_CHUNK).execute(raw_events(self._conn)):
            yield from self._step(row)
        yield from self._end()

    def _step(self, row: Any) -> Iterator[str]:
        id_, release_id, kind = row[0], row[1], row[2]
        before_release, prev, stored = row[-3:]
        told = False
        if computed(row) != stored:
            told = True
            yield f"event {id_} of {release_id} ({kind}) was changed or put in: it gives another hash"
        if prev != self._prev:
            told = True
            yield self._gap(id_, prev)
        if self._releases.get(release_id, FIRST) != before_release and not told:
            yield f"event {id_} of {release_id} ({kind}) follows an event of its release that is not there"
        if stored == self._anchor:
            self.anchored_at = id_
        self._releases[release_id] = stored
        self._id, self._before, self._prev = id_, self._prev, stored
        self.length += 1

    def _gap(self, id_: int, prev: str) -> str:
        if self.length and prev == self._before:
            return f"event {self._id} was put in: event {id_} follows the one before it"
        if not self.length:
            return f"before event {id_} something was removed: it is the first, but was not recorded as such"
        if id_ == self._id + 1:
            return f"event {self._id} was changed together with its hash: event {id_} follows another one"
        return (
            f"between event {self._id} and event {id_} something was removed, put in or moved: "
            f"event {id_} follows another one"
        )

    def _end(self) -> Iterator[str]:
        if (self._id, self._prev, self.length) == (self.head.id, self.head.hash, self.head.length):
            return
        if self.head.length > self.length and self._id < self.head.id:
            gone = self.head.length - self.length
            yield (
                f"after event {self._id} the end was removed, up to event {self.head.id}; in all of "
                f"the record {gone} {'is' if gone == 1 else 'are'} missing"
            )
        elif self.head.length < self.length and self._id > self.head.id:
            yield f"the events after {self.head.id} were put in past the end of the record"
        elif (self._id, self._prev) != (self.head.id, self.head.hash):
            yield f"the record ends at event {self._id}, but with another hash than its head says"
        else:
            yield f"the record has {self.length} events, but {self.head.length} were recorded"
