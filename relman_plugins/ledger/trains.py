"""Trains: a journal of what became of each departure, and of what people did to it.

Rows are added and never changed. ``key`` makes a row the same when a retry, or a second scheduler, writes it
again. Of one departure there is one end: it left, or it is on record why it did not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from sqlalchemy import Connection, RowMapping, insert, select

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.departure import TOO_LATE
from relman_plugins.domain.identity import Actor
from relman_plugins.errors import Refused
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.record import clean_json, clean_text

BY_PEOPLE = ("hold", "resume", "skip", "add", "remove")
"""What people do to a train."""
BEGUN = ("announced", "settled", "delayed")
"""What happens to a departure before its end."""
ENDS = ("departed", "nothing", "held", "skipped", "failed")
"""What becomes of a departure."""

_TOLD = ("telling", "told")
_DECIDES = (*BY_PEOPLE, "departed")


class Entry(Frozen):
    """One row of the journal."""

    id: int
    pipeline: str
    action: str
    """One of ``BY_PEOPLE``, of ``BEGUN``, of ``ENDS``, or ``lost``: one left, and nothing came of it."""
    key: str
    departs: datetime | None
    """The departure that it is about, UTC; None for the train as a whole."""
    version: str
    reason: str
    data: dict[str, Any] = Field(default_factory=dict)
    channel: str
    """The Slack channel that is told; empty for none."""
    actor: Actor
    at: datetime
    """UTC."""


class TrainState(Frozen):
    """How a train stands: whether it is held, what was added, which departures are skipped."""

    held: Entry | None = None
    added: Entry | None = None
    """The version that goes with the next departure whose cut-off it made."""
    later: Entry | None = None
    """One that was added after the cut-off that was asked about."""
    skips: dict[datetime, Entry] = Field(default_factory=dict)


def state_of(
    entries: Iterable[Entry],
    closes: datetime | None = None,
    departs: datetime | None = None,
    now: datetime | None = None,
) -> TrainState:
    """Return how a train stands by its journal, oldest entry first.

    ``closes``: what was added after that (aware) waits for a later departure. Taking back counts always.
    ``departs``: as that departure finds it; what an earlier one is settled on, that is still to come, is not
    for it. One that could leave until ``TOO_LATE`` after its time, and has no end at ``now``, never will.
    """
    held: Entry | None = None
    taken: dict[datetime, int] = {}
    oldest = now - TOO_LATE if now else datetime.min.replace(tzinfo=UTC)
    added: list[Entry] = []
    skips: dict[datetime, Entry] = {}
    for entry in entries:
        match entry.action:
            case "hold":
                held = entry
            case "resume":
                held, skips = None, {}
            case "skip" if entry.departs is not None:
                skips[entry.departs] = entry
            case "add":
                added.append(entry)
            case "remove":
                added.clear()
            case "settled" if departs and entry.departs and oldest <= entry.departs < departs:
                taken[entry.departs] = entry.data.get("added", 0)
            case "departed" if entry.data.get("added"):
                added = [a for a in added if a.id > entry.data["added"]]
        if entry.departs is not None and entry.action in ENDS:
            taken.pop(entry.departs, None)
    added = [a for a in added if a.id > max(taken.values(), default=0)]
    late = [a for a in added if closes is not None and a.at > closes]
    early = [a for a in added if a not in late]
    return TrainState(
        held=held, added=early[-1] if early else None, later=late[-1] if late else None, skips=skips
    )


class Trains:
    """The trains of a ledger. ``pipeline`` is a train's name; times given are aware."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def act(
        self,
        pipeline: str,
        action: str,
        *,
        actor: Actor,
        reason: str,
        version: str = "",
        departs: datetime | None = None,
        channel: str = "",
    ) -> Entry:
        """Record what a person does to a train; see :func:`state_of` for what it comes to.

        Raises:
            Refused: it is no person, no reason is given, or it changes nothing.
        """
        if action not in BY_PEOPLE:
            raise ValueError(action)
        if actor.kind != "person" or not clean_text(reason).strip():
            raise Refused("a train is changed only by a named person who gives a reason")
        with self._db.write(_lock(pipeline)) as conn:
            now, known = self._db.now(), _entries(conn, pipeline, _DECIDES)
            if why := _pointless(state_of(known), action, version, departs, now):
                raise Refused(why)
            key = f"{pipeline}:{action}:{len(known)}:{now.isoformat()}"
            return _add(conn, pipeline, action, key, now, actor, reason, version, departs, {}, channel)

    def note(
        self,
        pipeline: str,
        action: str,
        departs: datetime,
        *,
        version: str = "",
        reason: str = "",
        data: Mapping[str, Any] | None = None,
        channel: str = "",
    ) -> Entry:
        """Record what happens to a departure before its end; return what was recorded first."""
        key = f"{pipeline}:{departs.isoformat()}:{action}"
        with self._db.write(_lock(pipeline)) as conn:
            if (found := _by_key(conn, key)) is not None:
                return found
            now = self._db.now()
            return _add(
                conn, pipeline, action, key, now, Actor(), reason, version, departs, data or {}, channel
            )

    def end(
        self,
        pipeline: str,
        departs: datetime,
        *,
        version: str,
        reason: str,
        data: Mapping[str, Any],
        channel: str,
    ) -> Entry:
        """Let a train depart, unless it is held, skipped or empty; return what became of it, the first time.

        One decision for each departure, whoever asks and however often. ``version``: what goes, empty for
        nothing; ``reason``: why nothing, or where the version is from; ``data["added"]``: the id of the entry
        that added it. That nothing is new is told once, not at each departure.
        """
        with self._db.write(_lock(pipeline)) as conn:
            key = f"{pipeline}:{departs.isoformat()}:end"
            if (found := _by_key(conn, key)) is not None:
                return found
            known = _entries(conn, pipeline, _DECIDES)
            state, action, actor, because = state_of(known), "departed", Actor(), reason
            added = data.get("added")
            if state.held is not None:
                action, actor, because = "held", state.held.actor, state.held.reason
            elif (skip := state.skips.get(departs)) is not None:
                action, actor, because = "skipped", skip.actor, skip.reason
            elif added and not any(e.id == added for e in _aboard(known)):
                action, because, version = "nothing", f"{version} was taken off again", ""
            elif added and any(e.action == "departed" and e.data.get("added") == added for e in known):
                action, because, version = "nothing", f"{version} went with an earlier departure", ""
            elif not version:
                action = "nothing"
            if action == "departed":
                data = {**data, "channel": channel}  # for when nothing comes of it
            if action == "departed" or (action == "nothing" and _said_before(conn, pipeline, because)):
                channel = ""
            return _add(
                conn, pipeline, action, key, self._db.now(), actor, because, version, departs, data, channel
            )

    def fail(self, pipeline: str, departs: datetime, reason: str, channel: str) -> Entry:
        """Record that a departure came to nothing, unless it has an end."""
        with self._db.write(_lock(pipeline)) as conn:
            key = f"{pipeline}:{departs.isoformat()}:end"
            return _by_key(conn, key) or _add(
                conn, pipeline, "failed", key, self._db.now(), Actor(), reason, "", departs, {}, channel
            )

    def state(
        self, pipeline: str, closes: datetime | None = None, departs: datetime | None = None
    ) -> TrainState:
        """Return how a train stands: see :func:`state_of`."""
        actions = (*BY_PEOPLE, "settled", *ENDS) if departs else _DECIDES
        with self._db.read() as conn:
            return state_of(_entries(conn, pipeline, actions), closes, departs, self._db.now())

    def of(self, pipeline: str, departs: datetime) -> list[Entry]:
        """Return what is recorded of one departure, oldest first."""
        here = (t.train.c.pipeline == pipeline) & (t.train.c.departs == departs)
        with self._db.read() as conn:
            rows = conn.execute(select(t.train).where(here).order_by(t.train.c.id)).mappings()
            return [e for e in map(_entry_of, rows) if e.action not in _TOLD]

    def ended(self, pipeline: str, departs: datetime) -> Entry | None:
        """Return the end of a departure; None while it has none."""
        return next((e for e in self.of(pipeline, departs) if e.action in ENDS), None)

    def departed(self, since: datetime) -> list[Entry]:
        """Return what departed since then (aware), of all trains, oldest first."""
        query = select(t.train).where(t.train.c.action == "departed", t.train.c.at >= since)
        with self._db.read() as conn:
            return [_entry_of(row) for row in conn.execute(query.order_by(t.train.c.id)).mappings()]

    def unended(self, since: datetime, until: datetime) -> list[Entry]:
        """Return an entry of each departure (of all trains) that has begun and has no end, oldest first.

        ``since``, ``until``: it was to depart between them, both aware.
        """
        end = t.train.alias()
        same = (end.c.pipeline == t.train.c.pipeline) & (end.c.departs == t.train.c.departs)
        query = select(t.train).where(
            t.train.c.action.in_(BEGUN),
            t.train.c.departs >= since,
            t.train.c.departs < until,
            ~select(1).where(same, end.c.action.in_(ENDS)).exists(),
        )
        with self._db.read() as conn:
            found = [_entry_of(row) for row in conn.execute(query.order_by(t.train.c.id)).mappings()]
        return list({(entry.pipeline, entry.departs): entry for entry in found}.values())

    def latest(self, pipeline: str, limit: int = 20) -> list[Entry]:
        """Return the newest entries of a train, newest first."""
        query = select(t.train).where(t.train.c.pipeline == pipeline, t.train.c.action.not_in(_TOLD))
        with self._db.read() as conn:
            rows = conn.execute(query.order_by(t.train.c.id.desc()).limit(limit)).mappings()
            return [_entry_of(row) for row in rows]

    def untold(self, since: datetime, limit: int = 50) -> list[Entry]:
        """Return what Slack is still to be told, of what was recorded since then (aware), oldest first."""
        told = t.train.alias()
        query = select(t.train).where(
            t.train.c.channel != "",
            t.train.c.at >= since,
            ~select(1).where(told.c.about == t.train.c.id, told.c.action == "told").exists(),
        )
        with self._db.read() as conn:
            rows = conn.execute(query.order_by(t.train.c.id).limit(limit)).mappings()
            return [_entry_of(row) for row in rows]

    def telling(self, entry: Entry, *, done: bool = False) -> bool:
        """Note that Slack is about to be told, or has been; say whether that was noted before."""
        action = "told" if done else "telling"
        key = f"{action}:{entry.id}"
        with self._db.write(_lock(entry.pipeline)) as conn:
            if _by_key(conn, key) is not None:
                return True
            now = self._db.now()
            _add(conn, entry.pipeline, action, key, now, Actor(), "", "", None, {}, "", about=entry.id)
            return False


def _pointless(state: TrainState, action: str, version: str, departs: datetime | None, now: datetime) -> str:
    """Return why an action would change nothing; empty when it does."""
    if action == "hold" and state.held is not None:
        who = state.held.actor.name or state.held.actor.id
        return f"{who} holds it already: {state.held.reason}"
    if action == "resume" and state.held is None and all(skipped <= now for skipped in state.skips):
        return "it is neither held nor skipped"
    if action == "skip" and departs in state.skips:
        return "that departure is skipped already"
    if action == "remove" and state.added is None:
        return "nobody has added a version"
    if action == "add" and state.added is not None and state.added.version == version:
        return f"{version} is on it already"
    return ""


def _aboard(entries: Sequence[Entry]) -> list[Entry]:
    """Return the versions that nobody took off again."""
    removed = max((e.id for e in entries if e.action == "remove"), default=0)
    return [e for e in entries if e.action == "add" and e.id > removed]


def _said_before(conn: Connection, pipeline: str, reason: str) -> bool:
    query = select(t.train).where(t.train.c.pipeline == pipeline, t.train.c.action.in_(ENDS))
    row = conn.execute(query.order_by(t.train.c.id.desc()).limit(1)).mappings().first()
    return row is not None and row["action"] == "nothing" and row["reason"] == reason


def _lock(pipeline: str) -> str:
    return f"train:{pipeline}"


def _by_key(conn: Connection, key: str) -> Entry | None:
    row = conn.execute(select(t.train).where(t.train.c.key == key)).mappings().first()
    return None if row is None else _entry_of(row)


def _entries(conn: Connection, pipeline: str, actions: Sequence[str]) -> list[Entry]:
    query = select(t.train).where(t.train.c.pipeline == pipeline, t.train.c.action.in_(actions))
    return [_entry_of(row) for row in conn.execute(query.order_by(t.train.c.id)).mappings()]


def _add(
    conn: Connection,
    pipeline: str,
    action: str,
    key: str,
    now: datetime,
    actor: Actor,
    reason: str,
    version: str,
    departs: datetime | None,
    data: Mapping[str, Any],
    channel: str,
    about: int | None = None,
) -> Entry:
    values = {
        "pipeline": pipeline,
        "action": action,
        "key": key,
        "departs": departs,
        "version": version,
        "reason": clean_text(reason.strip()),
        "data": clean_json(dict(data)),
        "channel": channel,
        "actor": clean_json(actor.model_dump(mode="json")),
        "at": now,
    }
    row = conn.execute(insert(t.train).values({**values, "about": about}))
    (row_id,) = row.inserted_primary_key or (0,)
    return Entry.model_validate({**values, "id": row_id})


def _entry_of(row: RowMapping) -> Entry:
    return Entry.model_validate({name: row[name] for name in Entry.model_fields})
