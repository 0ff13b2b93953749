"""What can be checked of a ledger by looking at its database alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, ForeignKeyConstraint, UniqueConstraint, func, inspect, select, text

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.chain import Head
from relman_plugins.domain.event import Kind
from relman_plugins.ledger import crosscheck, migrate
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.walk import Walk

MOST = 20
"""Problems of one check that are told; the rest is counted."""

_CHUNK = 1000


class Verified(Frozen):
    """One check: what was looked at, and what is wrong with it."""

    check: str
    looked_at: int
    """How many things were looked at."""
    problems: tuple[str, ...] = ()
    """At most ``MOST``, and one that counts the others."""
    signed_up_to: int = 0
    """Of the signatures: id of the last event (or other link) that one covers and holds."""
    head: str = ""
    """Of the chain: where it ends, ``ID:HASH``. Kept elsewhere, it is the ``anchor`` of a later check."""


def verify(
    db: Database, *, anchor: Head | None = None, signed: Callable[[Any], str] | None = None
) -> list[Verified]:
    """Check a ledger and return what was checked; the schema must be the one that this code needs.

    Looked at are the database's own integrity, the protection of the record, the hash chain from its first
    event to its head, whether what other tables say fits the events, and the fencing tokens. Nothing is
    changed.
    Whoever owns the database can write all of it anew, with hashes that fit: only ``anchor``, where the
    record ended once and which was kept elsewhere, and signed checkpoints tell then.

    Args:
        db: The ledger.
        anchor: A head of earlier.
        signed: Says what is wrong with the signature of a checkpoint's row; None when no key is at hand.

    Raises:
        LedgerUnavailable: the database doesn't answer, or has another schema.
    """
    migrate.check(db)
    found = []
    with db.read() as conn:
        walk = Walk(conn, anchor, signed)
        checks: list[tuple[str, Callable[[Connection], tuple[int, Iterator[str]]]]] = [
            ("database", _database),
            ("append-only", _protection),
            ("chain", lambda _: (_count(conn, t.event), walk.problems())),
            ("signatures", lambda _: (walk.checkpoints, _signatures(walk))),
            ("anchor", lambda _: (int(anchor is not None), iter([walk.at_anchor] if walk.at_anchor else []))),
            ("releases", _releases),
            ("events", _events),
            ("endings", _endings),
            ("votes", crosscheck.votes),
            ("locks", _locks),
        ]
        for name, check in checks:
            if (name == "anchor" and anchor is None) or (
                name == "signatures" and not walk.checkpoints and signed is None
            ):
                continue
            looked_at = 0
            told: list[str] = []
            try:
                looked_at, problems = check(conn)
                told += problems
            except (ValueError, TypeError, KeyError, AttributeError, LookupError) as error:
                # A value that is not of its column's kind; the chain names its row.
                told.append(f"can't be checked to its end: {' '.join(str(error).split())[:200]}")
            more = len(told) - MOST
            kept = [*told[:MOST], f"and {more} more"] if more > 0 else told
            head = f"{walk.head.id}:{walk.head.hash}" if name == "chain" and walk.head.length else ""
            up_to = walk.signed_up_to if name == "signatures" else 0
            found.append(
                Verified(check=name, looked_at=looked_at, problems=tuple(kept), head=head, signed_up_to=up_to)
            )
    return found


def _signatures(walk: Walk) -> Iterator[str]:
    yield from walk.signatures
    if not walk.checkpoints:
        yield "nothing of this record is signed; `relman_maintenance` signs with [relman] signing_conn_id"


def _database(conn: Connection) -> tuple[int, Iterator[str]]:
    if conn.dialect.name != "sqlite":
        return _constraints(conn)
    said = [str(row[0]) for row in conn.execute(text("PRAGMA integrity_check"))]
    said += [f"{row[0]} refers to a row of {row[2]} that is not there" for row in _dangling(conn)]
    return 1, (line for line in said if line != "ok")


def _constraints(conn: Connection) -> tuple[int, Iterator[str]]:
    """Keys and references are there and hold: what is unique once was never voted or recorded twice."""
    seen = inspect(conn)
    invalid = text(
        "SELECT conname FROM pg_constraint "
        "WHERE NOT convalidated AND connamespace = current_schema()::regnamespace"
    )
    broken = text(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE NOT (i.indisvalid AND i.indisready) AND c.relnamespace = current_schema()::regnamespace"
    )
    # References are kept by triggers of the database's own.
    off = text(
        "SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE t.tgisinternal AND t.tgenabled = 'D' AND c.relnamespace = current_schema()::regnamespace"
    )

    def problems() -> Iterator[str]:
        for name, table in t.metadata.tables.items():
            unique = {tuple(u["column_names"]) for u in seen.get_unique_constraints(name)}
            references = {tuple(f["constrained_columns"]) for f in seen.get_foreign_keys(name)}
            if tuple(seen.get_pk_constraint(name)["constrained_columns"]) != _named(table.primary_key):
                yield f"table {name} has lost its primary key"
            for constraint in sorted(table.constraints, key=_named):
                columns = _named(constraint)
                kept = unique if isinstance(constraint, UniqueConstraint) else references
                if isinstance(constraint, UniqueConstraint | ForeignKeyConstraint) and columns not in kept:
                    yield f"table {name} has lost its constraint on {', '.join(columns)}"
        yield from (f"constraint {row[0]} was never checked" for row in conn.execute(invalid))
        yield from (f"index {row[0]} is broken; REINDEX it" for row in conn.execute(broken))
        yield from (f"the references of table {row[0]} are switched off" for row in conn.execute(off))

    return len(t.metadata.tables), problems()


def _named(constraint: Any) -> tuple[str, ...]:
    return tuple(column.name for column in getattr(constraint, "columns", ()))


def _dangling(conn: Connection) -> list[Any]:
    return list(conn.execute(text("PRAGMA foreign_key_check")))


def _protection(conn: Connection) -> tuple[int, Iterator[str]]:
    """The triggers are there, switched on, and do what they are there for."""
    if conn.dialect.name == "sqlite":
        wanted = [(f"relman_{x}_{v}", x) for x in t.APPEND_ONLY for v in ("update", "delete", "replace")]
        query = text("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")
        there = {(row[0], row[1]) for row in conn.execute(query) if _is_refusal(row[0], row[1], row[2])}
    else:
        # tgenabled A: fires always, for replication roles too. tgtype 58: before update, delete and truncate.
        query = text(
            "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE t.tgenabled = 'A' AND t.tgtype = 58 AND t.tgqual IS NULL AND t.tgattr = '' "
            "AND c.relnamespace = current_schema()::regnamespace "
            "AND p.proname = 'relman_append_only' AND p.prosrc LIKE ' BEGIN RAISE EXCEPTION %; END '"
        )
        wanted = [("relman_append_only", name) for name in t.APPEND_ONLY]
        there = {(row[0], row[1]) for row in conn.execute(query)}
    gone = [(trigger, table) for trigger, table in wanted if (trigger, table) not in there]
    return len(wanted), (
        f"table {table} has no trigger {trigger} that refuses: whoever can write can change the record; "
        "restore a back-up's schema"
        for trigger, table in gone
    )


def _is_refusal(name: str, table: str, sql: str) -> bool:
    """Say whether a trigger of SQLite refuses what its name says, in every case."""
    verb = name.rpartition("_")[2].upper()
    when = "INSERT" if verb == "REPLACE" else verb
    head, _, body = sql.partition(" BEGIN ")
    only = f'CREATE TRIGGER {name} BEFORE {when} ON "{table}"'
    fits = head.startswith(f"{only} WHEN EXISTS (") if verb == "REPLACE" else head == only
    return fits and body.startswith("SELECT RAISE(ABORT, ")


def _releases(conn: Connection) -> tuple[int, Iterator[str]]:
    return _count(conn, t.release), crosscheck.releases(conn)


def _events(conn: Connection) -> tuple[int, Iterator[str]]:
    """Whether this relman knows the kind of each; what else a row says is what relman wrote, by its hash."""
    known = [kind.value for kind in Kind]

    def problems() -> Iterator[str]:
        columns = (t.event.c.id, t.event.c.release_id, t.event.c.kind)
        for row in conn.execute(select(*columns).where(t.event.c.kind.not_in(known)).order_by(t.event.c.id)):
            yield f"event {row.id} of {row.release_id} can't be read: its kind is {row.kind[:60]!r}"

    return _count(conn, t.event), problems()


def _endings(conn: Connection) -> tuple[int, Iterator[str]]:
    """Every release begins with one ``release.opened`` and ends at most once."""

    def count_of(kind: Kind) -> dict[str, int]:
        query = select(t.event.c.release_id, func.count()).where(t.event.c.kind == kind.value)
        return {row[0]: row[1] for row in conn.execute(query.group_by(t.event.c.release_id))}

    first = select(t.event.c.release_id, func.min(t.event.c.id).label("id")).group_by(t.event.c.release_id)
    early = first.subquery()
    begins = select(t.event.c.release_id).join(early, t.event.c.id == early.c.id)
    odd = set(conn.execute(begins.where(t.event.c.kind != Kind.RELEASE_OPENED.value)).scalars())
    opened, closed = count_of(Kind.RELEASE_OPENED), count_of(Kind.RELEASE_CLOSED)
    ids = list(conn.execute(select(t.release.c.release_id).order_by(t.release.c.release_id)).scalars())

    def problems() -> Iterator[str]:
        for release_id in ids:
            if opened.get(release_id, 0) != 1 or release_id in odd:
                yield f"release {release_id} does not begin with one release.opened"
            if closed.get(release_id, 0) > 1:
                yield f"release {release_id} was closed {closed[release_id]} times"

    return len(ids), problems()


def _locks(conn: Connection) -> tuple[int, Iterator[str]]:
    """No token comes again: the counter is at least as high as every token that was given."""
    last = {(r.environment, r.service): r.last for r in conn.execute(select(t.token))}
    given: dict[tuple[str, str], int] = {}
    acquired = select(t.event).where(t.event.c.kind == Kind.LOCK_ACQUIRED.value)
    for row in conn.execute(acquired).mappings():
        key = (row["environment"], str(row["data"].get("service")))
        given[key] = max(given.get(key, 0), int(row["data"].get("token") or 0))
    for held in conn.execute(select(t.lock)):
        key = (held.environment, held.service)
        given[key] = max(given.get(key, 0), held.token)

    def problems() -> Iterator[str]:
        for (environment, service), token in sorted(given.items()):
            counter = last.get((environment, service), 0)
            if token > counter:
                yield f"{service} in {environment}: token {token} was given, but the counter is at {counter}"

    return len(given), problems()


def _count(conn: Connection, table: Any) -> int:
    return int(conn.execute(select(func.count()).select_from(table)).scalar() or 0)
