"""Everything that is recorded of one release, as it stands in the tables: what evidence is made of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, select

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.chain import FIRST, ChainedEvent, Head, moment_text
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.archive_file import rows_of
from relman_plugins.ledger.chain import chained, head


class Dossier(Frozen):
    """The rows of a release, column by column; times as :func:`moment_text`, all of it JSON."""

    release: dict[str, Any]
    events: tuple[ChainedEvent, ...]
    """All of them, in the ledger's order, with what their hashes cover."""
    votes: tuple[dict[str, Any], ...]
    """The first vote of each person in a round; what counts is in the events."""
    checkpoints: tuple[dict[str, Any], ...]
    """Signed ends of the whole record: those at an event of this release, the first behind its last event,
    and the newest. That one behind covers them, only the ledger can tell: other events lie in between."""
    head: Head
    """Where the whole record ended at that moment."""


def dossier_of(conn: Connection, release_id: str) -> Dossier | None:
    """Return what is recorded of a release, in one transaction's view; None when there is none of that id."""
    row = conn.execute(select(t.release).where(t.release.c.release_id == release_id)).mappings().first()
    if row is None:
        return None
    events = tuple(chained(conn, release_id))
    votes = select(t.vote).where(t.vote.c.release_id == release_id).order_by(t.vote.c.id)
    return Dossier(
        release=_plain(row),
        events=events,
        votes=tuple(_plain(vote) for vote in conn.execute(votes).mappings()),
        checkpoints=tuple(_checkpoints(conn, [event.id for event in events])),
        head=head(conn) or Head(id=0, hash=FIRST, length=0),
    )


def dossier_in(archive: Path, release_id: str) -> Dossier | None:
    """Return what an archive has of a release; None when it has none of that id.

    An archive has no signatures of the ledger, and knows of its end only that it was no earlier than the
    release's last event: that is its head.
    """
    rows = list(rows_of(archive, release_id))
    events = tuple(ChainedEvent.model_validate(row) for name, row in rows if name == "event")
    release = next((row for name, row in rows if name == "release"), None)
    if release is None or not events:
        return None
    votes = tuple(row for name, row in rows if name == "vote")
    head = Head(id=events[-1].id, hash=events[-1].hash, length=len(events))
    return Dossier(release=release, events=events, votes=votes, checkpoints=(), head=head)


def moment_of(text: Any) -> datetime:
    """Return the time that a dossier has as text; ValueError for anything else."""
    at = datetime.fromisoformat(text) if isinstance(text, str) else None
    if at is None or at.tzinfo is None:
        raise ValueError(f"{str(text)[:40]!r} is no time with a zone")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is no time that UTC has") from None


def _checkpoints(conn: Connection, ids: list[int]) -> list[dict[str, Any]]:
    columns = t.checkpoint.c
    last = max(ids, default=0)
    behind = select(columns.id).where(columns.id >= last).order_by(columns.id).limit(1)
    newest = select(columns.id).order_by(columns.id.desc()).limit(1)
    wanted = {conn.execute(query).scalar() for query in (behind, newest)} - {None}
    wanted |= set(conn.execute(select(columns.id).where(columns.id.in_(ids))).scalars())
    found: Select[Any] = select(t.checkpoint).where(columns.id.in_(wanted)).order_by(columns.id)
    return [_plain(row) for row in conn.execute(found).mappings()]


def _plain(row: Any) -> dict[str, Any]:
    return {k: moment_text(v) if isinstance(v, datetime) else v for k, v in row.items()}
