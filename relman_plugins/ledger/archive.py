"""Retention: old releases go to a file, and what keeps the chain verifiable stays.

First the file is written, whole and on the disk. Then one transaction notes in the chain which file has
what, and removes the rows. Killed before its end, everything is still in the ledger; after it, in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, text

from relman_plugins.domain.base import Frozen, digest_of
from relman_plugins.domain.chain import moment_text
from relman_plugins.domain.event import Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.errors import LedgerConflict, LedgerError
from relman_plugins.ledger import archive_file, migrate
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.chain import chained_of, move_head, next_place
from relman_plugins.ledger.database import Database, serialise
from relman_plugins.ledger.record import clean_json, release_name
from relman_plugins.ledger.retention import needed

MOST = 200
"""Releases in one file: as many are removed in one transaction, for which others wait."""

MINIMUM_DAYS = 90
"""Nothing that closed later is archived: DORA's figures and reports look back that far."""


class Choice(Frozen):
    """Which releases would go, and which are old enough but stay, with why."""

    go: tuple[str, ...]
    """The oldest first."""
    stay: dict[str, str]


class Archived(Frozen):
    """One file that was written, and whose releases are out of the ledger."""

    file: str
    digest: str
    releases: tuple[str, ...]
    events: int
    id: int
    """The archive's place in the chain."""


def choose(db: Database, before: datetime) -> Choice:
    """Return what of the releases that closed before then (aware) can go."""
    migrate.check(db)
    with db.read() as conn:
        return _choose(conn, before)


def archive(db: Database, folder: Path, before: datetime, actor: Actor) -> Iterator[Archived]:
    """Move the releases that closed before then (aware) to files in ``folder``; yield each as it is done.

    Safe to run again after any failure: what is in a file and still in the ledger is written once more.

    Raises:
        LedgerUnavailable: The ledger does not answer, or its disk is full; nothing was removed.
        LedgerConflict: Something happened to a release while its file was written; nothing was removed.
        LedgerError: The file can't be written or does not read back; nothing was removed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    while go := choose(db, before).go[:MOST]:
        yield _one(db, folder, go, before, actor)


def _choose(conn: Connection, before: datetime) -> Choice:
    query = (
        select(t.event.c.release_id)
        .where(t.event.c.kind == Kind.RELEASE_CLOSED.value, t.event.c.recorded_at < before)
        .order_by(t.event.c.id)
    )
    old = list(dict.fromkeys(conn.execute(query).scalars()))
    late = select(t.event.c.release_id).where(t.event.c.recorded_at >= before).distinct()
    stay = dict.fromkeys(conn.execute(late).scalars(), "had something recorded since")
    stay |= needed(conn)
    return Choice(go=tuple(r for r in old if r not in stay), stay={r: stay[r] for r in old if r in stay})


def _one(db: Database, folder: Path, ids: tuple[str, ...], before: datetime, actor: Actor) -> Archived:
    now = db.now()
    path = folder / f"relman-ledger-{now:%Y%m%dT%H%M%S%f}.jsonl.gz"
    header = {"made_at": moment_text(now), "closed_before": moment_text(before), "releases": len(ids)}
    try:
        with db.read() as conn:
            archive_file.write(
                path,
                header,
                _rows(conn, t.release, ids),
                _rows(conn, t.vote, ids),
                chained_of(conn, ids),
                _signed(conn),
            )
        found = archive_file.check(path)
    except OSError as error:
        raise LedgerError(f"cannot write {path}: {error.strerror or error}; nothing was archived") from error
    if found.problems or set(found.releases) != set(ids):
        said = found.problems[0] if found.problems else "it has not the releases it should have"
        raise LedgerError(
            f"{path} does not hold: {said}; nothing was archived. `relman ledger verify` says whether the "
            "ledger itself is as it was recorded"
        )
    with db.write("open-release", *map(release_name, ids)) as conn:
        _wait_for_rows(conn)
        serialise(conn, "ids")
        _check_unchanged(conn, ids, before, found)
        id_ = _note(conn, path, found, ids, now, actor)
        _remove(conn, ids)
    return Archived(file=path.name, digest=found.digest, releases=ids, events=found.events, id=id_)


def _rows(conn: Connection, table: Table, ids: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    query = select(table).where(table.c.release_id.in_(ids)).order_by(*table.primary_key.columns)
    for row in conn.execute(query).mappings():
        yield {k: moment_text(v) if isinstance(v, datetime) else v for k, v in row.items()}


def _signed(conn: Connection) -> list[int]:
    return list(conn.execute(select(t.checkpoint.c.id).order_by(t.checkpoint.c.id)).scalars())


def _check_unchanged(
    conn: Connection, ids: tuple[str, ...], before: datetime, found: archive_file.Contents
) -> None:
    newest = (
        select(func.max(t.event.c.id)).where(t.event.c.release_id.in_(ids)).group_by(t.event.c.release_id)
    )
    query = select(t.event.c.release_id, t.event.c.hash).where(t.event.c.id.in_(newest))
    now = {row.release_id: row.hash for row in conn.execute(query)}
    if now != found.releases or not set(ids) <= set(_choose(conn, before).go):
        raise LedgerConflict(
            "something was recorded of a release while its file was written; nothing was archived, "
            "run it again"
        )


def _note(
    conn: Connection,
    path: Path,
    found: archive_file.Contents,
    ids: tuple[str, ...],
    now: datetime,
    actor: Actor,
) -> int:
    place = next_place(conn)
    kept = list(_kept(conn, ids, place.id, found))
    row = {
        "id": place.id,
        "at": now,
        "actor": clean_json(actor.model_dump(mode="json")),
        "file": path.name,
        "digest": found.digest,
        "releases": len(ids),
        "events": found.events,
        "contents": contents_digest(kept, [list(run) for run in found.runs]),
        "prev_hash": place.prev_hash,
    }
    row["hash"] = archive_hash(row)
    conn.execute(insert(t.archive).values(row))
    conn.execute(insert(t.archived_release), kept)
    names = archive_file.Run._fields
    runs = [dict(zip(names, run, strict=True)) | {"archive_id": place.id} for run in found.runs]
    conn.execute(insert(t.archived_run), runs)
    move_head(conn, place, row["hash"])
    return place.id


def _kept(
    conn: Connection, ids: tuple[str, ...], archive_id: int, found: archive_file.Contents
) -> Iterator[dict[str, Any]]:
    """What stays of each release: that it was, and under which number and run. Nobody's name."""
    closed = select(t.event.c.release_id, t.event.c.data, t.event.c.at).where(
        t.event.c.release_id.in_(ids), t.event.c.kind == Kind.RELEASE_CLOSED.value
    )
    ends = {row.release_id: (row.data.get("outcome", ""), row.at) for row in conn.execute(closed)}
    columns = [
        t.release.c[n] for n in ("release_id", "pipeline", "version", "n", "dag_id", "run_id", "opened_at")
    ]
    dry = t.release.c.plan[("options", "dry_run")].as_boolean()
    rehearsals = select(t.release.c.release_id).where(t.release.c.release_id.in_(ids), dry)
    rehearsed = set(conn.execute(rehearsals).scalars())
    query = select(*columns).where(t.release.c.release_id.in_(ids)).order_by(t.release.c.release_id)
    for row in conn.execute(query).mappings():
        outcome, closed_at = ends[row["release_id"]]
        yield dict(row) | {
            "outcome": t.DRY_RUN if row["release_id"] in rehearsed else str(outcome),
            "closed_at": closed_at,
            "hash": found.releases[row["release_id"]],
            "archive_id": archive_id,
        }


def contents_digest(releases: list[dict[str, Any]], runs: list[list[Any]]) -> str:
    """Return the digest of what an archive left in the ledger; the archive's link in the chain has it."""
    plain = [
        {k: moment_text(v) if isinstance(v, datetime) else v for k, v in row.items()}
        for row in sorted(releases, key=lambda row: str(row["release_id"]))
    ]
    return digest_of({"releases": plain, "runs": sorted(runs)})


def archive_hash(row: dict[str, Any]) -> str:
    """Return the hash of an archive's link in the chain."""
    values = {k: moment_text(v) if isinstance(v, datetime) else v for k, v in row.items() if k != "hash"}
    return digest_of({"relman": "archive", **values})


def meddled(conn: Connection, row: Any) -> Iterator[str]:
    """Yield what is wrong with an archive's note and with what it left; nothing when it holds."""
    values = dict(row._mapping)
    if archive_hash(values) != row.hash:
        yield f"the note {row.id} of an archive ({row.file}) was changed: it gives another hash"
    releases, runs = (
        list(conn.execute(select(table).where(table.c.archive_id == row.id)).mappings())
        for table in (t.archived_release, t.archived_run)
    )
    plain = [[run[name] for name in archive_file.Run._fields] for run in runs]
    if contents_digest([dict(r) for r in releases], plain) != row.contents:
        yield f"what is left of the releases in {row.file} (note {row.id}) is not what was left there"


def _wait_for_rows(conn: Connection) -> None:
    """Wait for writers of the tables whose rows come before their event, and keep new ones out.

    A vote and a release are written first and told of then, for which they wait for ``ids``. Who has ``ids``
    and then wants their tables waits for them, and they for it.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text('LOCK TABLE "release", "vote" IN SHARE ROW EXCLUSIVE MODE'))


def _remove(conn: Connection, ids: tuple[str, ...]) -> None:
    for table in (t.outbox, t.thread, t.ephemeral):
        conn.execute(delete(table).where(table.c.release_id.in_(ids)))
    with _removable(conn):
        for table in (t.vote, t.event, t.release):
            conn.execute(delete(table).where(table.c.release_id.in_(ids)))


@contextmanager
def _removable(conn: Connection) -> Iterator[None]:
    """Lift the protection against removal, for this transaction, which ends with it in place or not at all.

    Only the owner of the tables can: a role that may merely write them archives nothing.
    """
    if conn.dialect.name == "postgresql":
        for name in t.APPEND_ONLY:
            conn.execute(text(f'ALTER TABLE "{name}" DISABLE TRIGGER relman_append_only'))
        yield
        for name in t.APPEND_ONLY:
            conn.execute(text(f'ALTER TABLE "{name}" ENABLE ALWAYS TRIGGER relman_append_only'))
        return
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'relman_%_delete'")
    triggers = list(conn.execute(query).all())
    for name, _ in triggers:
        conn.exec_driver_sql(f'DROP TRIGGER "{name}"')
    yield
    for _, sql in triggers:
        conn.exec_driver_sql(sql)
