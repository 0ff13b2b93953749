"""Walking along the hash chain from its first event to its head, and naming what does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Select, select

from relman_plugins.domain.chain import FIRST, Head
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.archive import meddled
from relman_plugins.ledger.chain import computed, head, raw_events

_STREAM = {"yield_per": 2000}

_AFTER = 0.5
"""A checkpoint stands right behind the link that it signs."""


class Walk:
    """One walk; ``problems`` is to be used up before the rest is asked for.

    ``anchor`` is where the record ended once, as somebody kept it elsewhere; ``signed`` says what is wrong
    with a checkpoint's signature, empty when nothing is.
    """

    def __init__(
        self, conn: Connection, anchor: Head | None = None, signed: Callable[[Any], str] | None = None
    ) -> None:
        self._conn = conn
        self._anchor = anchor
        self._signed = signed
        self.head = head(conn) or Head(id=0, hash=FIRST, length=0)
        """Where the ledger says that the chain ends."""
        self.at_anchor = (
            "" if anchor is None else f"the record does not reach event {anchor.id}: its end was cut"
        )
        """What is wrong with the anchor; empty when nothing is."""
        self.signatures: list[str] = []
        """What is wrong with checkpoints."""
        self.checkpoints = 0
        self.signed_up_to = 0
        """Id of the last link that a checkpoint covers which holds."""
        self.length = 0
        """Links met so far."""
        self._id, self._prev, self._before = 0, FIRST, FIRST
        self._releases: dict[str, str] = {}

    def problems(self) -> Iterator[str]:
        """Yield what is wrong in the order of the chain: the first is the first event that was meddled with.

        A row that was changed is named itself. Where one was removed or put in, its neighbours are. What
        follows is checked as if that had not been, so that one deed is told once for each chain.
        """
        links: list[tuple[Select[Any], float, Callable[[Any], Iterator[str]]]] = [
            (raw_events(self._conn), 0, self._event),
            (select(t.archived_run).order_by(t.archived_run.c.first_id), 0, self._run),
            (select(t.archive).order_by(t.archive.c.id), 0, self._archive),
            (select(t.checkpoint).order_by(t.checkpoint.c.id), _AFTER, self._checkpoint),
        ]
        streams = [self._stream(query, later, step) for query, later, step in links]
        for _, row, step in merge(*streams, key=itemgetter(0)):
            yield from step(row)
        yield from self._end()

    def _stream(
        self, query: Select[Any], later: float, step: Callable[[Any], Iterator[str]]
    ) -> Iterator[tuple[float, Any, Callable[[Any], Iterator[str]]]]:
        for row in self._conn.execute(query, execution_options=_STREAM):
            yield row[0] + later, row, step

    def _event(self, row: Any) -> Iterator[str]:
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
        self._releases[release_id] = stored
        self._go_to(id_, id_, stored, 1)

    def _run(self, row: Any) -> Iterator[str]:
        if row.prev_hash != self._prev:
            yield self._gap(row.first_id, row.prev_hash)
        self._go_to(row.first_id, row.last_id, row.hash, row.length)

    def _archive(self, row: Any) -> Iterator[str]:
        if row.prev_hash != self._prev:
            yield self._gap(row.id, row.prev_hash)
        yield from meddled(self._conn, row)
        self._go_to(row.id, row.id, row.hash, 1)

    def _checkpoint(self, row: Any) -> Iterator[str]:
        self.checkpoints += 1
        wrong = ""
        if (row.id, row.hash, row.length) != (self._id, self._prev, self.length):
            wrong = "the record up to there is not the one that was signed"
        elif self._signed is not None:
            wrong = self._signed(row)
        if wrong:
            self.signatures.append(f"checkpoint at event {row.id}: {wrong}")
        else:
            self.signed_up_to = row.id
        yield from ()

    def _go_to(self, first: int, last: int, hash_: str, length: int) -> None:
        if self._anchor is not None and first <= self._anchor.id <= last:
            if self._anchor.id < last:
                self.at_anchor = f"event {self._anchor.id} is archived; check the file that has it"
            elif hash_ == self._anchor.hash:
                self.at_anchor = ""
            else:
                self.at_anchor = f"event {last} has another hash now: it, or something before it, was changed"
        self._id, self._before, self._prev = last, self._prev, hash_
        self.length += length

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
