"""Opening and finding releases."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime
from typing import Any
from zlib import crc32

from sqlalchemy import ColumnElement, Connection, Exists, RowMapping, Select, exists, func, insert, select

from relman_plugins.domain.base import Frozen, digest_of
from relman_plugins.domain.chain import row_digest
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.identity import Actor, release_id_of
from relman_plugins.domain.status import Outcome
from relman_plugins.domain.versions import same_as
from relman_plugins.errors import LedgerError, Refused
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database, serialise
from relman_plugins.ledger.record import clean_json, insert_event, release_name
from relman_plugins.plan.model import ReleasePlan


class ReleaseRecord(Frozen):
    """A release as it was opened. Nothing in it ever changes."""

    release_id: str
    pipeline: str
    service: str
    version: str
    n: int
    """Which release of this version this is, from 1."""
    dag_id: str
    run_id: str
    plan: ReleasePlan
    """The plan the steps run, whatever the spec file says by now."""
    plan_hash: str
    stored_hash: str
    """Digest of the plan as it stands in the database: ``plan_hash``, unless somebody changed it there.

    Of the stored JSON, not of ``plan``: another version of relman may know fields that this plan has not.
    """
    shape_hash: str
    spec_digest: str
    started_by: Actor
    conf: dict[str, Any]
    """The run's parameters, as given."""
    opened_at: datetime
    """UTC."""


def open_release(
    db: Database,
    *,
    plan: ReleasePlan,
    dag_id: str,
    run_id: str,
    started_by: Actor,
    conf: dict[str, Any],
    trace_id: str = "",
    made_with: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    once: bool = False,
) -> ReleaseRecord:
    """Store a release and its plan, number it, and record ``release.opened``: see ``Ledger.open_release``."""
    with db.write("open-release") as conn:
        query = select_releases().where(t.release.c.dag_id == dag_id, t.release.c.run_id == run_id)
        if (row := conn.execute(query).mappings().first()) is not None:
            return record_of(row)
        _check_not_archived(conn, dag_id, run_id)
        shape, options, now = plan.shape, plan.options, db.now()
        known = same_as(options.version, versions(conn, shape.pipeline)) if once else None
        if known is not None:
            raise Refused(
                f"nothing new: {known} was released before. If it is wanted again, start it with "
                "`relman release`"
            )
        release_id, n = _next_id(conn, shape.pipeline, options.version)
        values = {
            "release_id": release_id,
            "pipeline": shape.pipeline,
            "service": shape.service,
            "version": options.version,
            "n": n,
            "dag_id": dag_id,
            "run_id": run_id,
            "plan": plan.model_dump(mode="json"),
            "plan_hash": plan.hash,
            "shape_hash": shape.hash,
            "spec_digest": shape.spec_digest,
            "slack_channel": shape.slack_channel,
            "started_by": clean_json(started_by.model_dump(mode="json")),
            "conf": clean_json(conf),
            "opened_at": now,
        }
        conn.execute(insert(t.release).values(values))
        opened = NewEvent(
            kind=Kind.RELEASE_OPENED,
            key=f"ledger:opened:{release_id}",
            actor=started_by,
            data={
                "version": options.version,
                "plan_hash": plan.hash,
                "changes": options.changes,
                "ticket": options.ticket,
                "emergency": options.emergency,
                "emergency_reason": options.emergency_reason,
                "dry_run": options.dry_run,
                "parameters": options.parameters,
                "row_digest": row_digest(values),
                **({"trace_id": trace_id} if trace_id else {}),
                **({"made_with": made_with} if made_with else {}),
                **({"spec": spec} if spec else {}),
            },
        )
        serialise(conn, release_name(release_id))
        insert_event(conn, release_id, opened, now)
        return record_of(conn.execute(query).mappings().one())


def _check_not_archived(conn: Connection, dag_id: str, run_id: str) -> None:
    query = select(t.archived_release.c.release_id).where(
        t.archived_release.c.dag_id == dag_id, t.archived_release.c.run_id == run_id
    )
    if (release_id := conn.execute(query).scalar()) is not None:
        raise LedgerError(
            f"the run {run_id} was release {release_id}{where(conn, release_id)}: it has ended; "
            "start another run"
        )


def where(conn: Connection, release_id: str) -> str:
    """Return in words which file a release is in, to follow its name; empty when it is not archived."""
    query = (
        select(t.archive.c.file, t.archive.c.at)
        .join(t.archived_release, t.archived_release.c.archive_id == t.archive.c.id)
        .where(t.archived_release.c.release_id == release_id)
    )
    row = conn.execute(query).first()
    return f", which went to the archive {row.file} on {row.at:%Y-%m-%d}" if row else ""


def _next_id(conn: Connection, pipeline: str, version: str) -> tuple[str, int]:
    # Who archives excludes who opens, so a release is in one of the two tables.
    tables = (t.release, t.archived_release)
    highest = (
        conn.execute(
            select(func.max(table.c.n)).where(table.c.pipeline == pipeline, table.c.version == version)
        ).scalar()
        for table in tables
    )
    n = max(found or 0 for found in highest) + 1
    # Two pipelines can meet in one id: "a" at "1-1" and "a-1" at "1" are both a-1-1-1.
    while any(
        conn.execute(
            select(1).where(table.c.release_id == release_id_of(pipeline, version, n)).select_from(table)
        ).first()
        for table in tables
    ):
        n += 1
    return release_id_of(pipeline, version, n), n


def find_release(conn: Connection, release_id: str) -> ReleaseRecord | None:
    """Return a release by id."""
    row = conn.execute(select_releases().where(t.release.c.release_id == release_id)).mappings().first()
    return None if row is None else record_of(row)


def find_run(conn: Connection, dag_id: str, run_id: str) -> ReleaseRecord | None:
    """Return the release that a DAG run is."""
    query = select_releases().where(t.release.c.dag_id == dag_id, t.release.c.run_id == run_id)
    row = conn.execute(query).mappings().first()
    return None if row is None else record_of(row)


def list_releases(
    conn: Connection,
    pipeline: str | None = None,
    limit: int = 50,
    active: bool | None = None,
    dags: Collection[str] | None = None,
) -> list[ReleaseRecord]:
    """Return releases, newest first."""
    query = select_releases()
    if dags is not None:
        query = query.where(t.release.c.dag_id.in_(dags))
    if pipeline is not None:
        query = query.where(t.release.c.pipeline == pipeline)
    if active is not None:
        query = query.where(~_closed() if active else _closed())
    query = query.order_by(t.release.c.opened_at.desc(), t.release.c.release_id.desc()).limit(limit)
    return [record_of(row) for row in conn.execute(query).mappings()]


def in_flight(conn: Connection, most: int, turn: int) -> list[ReleaseRecord]:
    """Return at most so many releases without an outcome, oldest first; each turn the next ones."""
    there = conn.execute(select(func.count()).select_from(t.release).where(~_closed())).scalar() or 0
    part = part_of(turn, math.ceil(there / most))
    query = select_releases().where(~_closed()).order_by(t.release.c.opened_at, t.release.c.release_id)
    return [record_of(row) for row in conn.execute(query.offset(part * most).limit(most)).mappings()]


def part_of(turn: int, parts: int) -> int:
    """Return which of ``parts`` parts has its turn: one after the other, in an order that shifts.

    Rounds may be late. Of every second turn alone, say, an order that is always the same would leave out
    every second part for ever; after each eight rounds this one goes on from somewhere else.
    """
    if parts < 2:
        return 0
    return (turn + crc32(b"%d" % (turn // (8 * parts)))) % parts


def pipelines_in_flight(conn: Connection) -> set[str]:
    """Return the pipelines that have a release without an outcome."""
    return set(conn.execute(select(t.release.c.pipeline).where(~_closed()).distinct()).scalars())


def _closed() -> Exists:
    return exists().where(
        t.event.c.release_id == t.release.c.release_id, t.event.c.kind == Kind.RELEASE_CLOSED.value
    )


def versions(conn: Connection, pipeline: str) -> list[str]:
    """Return the versions of which a pipeline ever had a release that was no dry run, archived ones too."""
    dry = t.release.c.plan[("options", "dry_run")].as_boolean()
    there = select(t.release.c.version).where(t.release.c.pipeline == pipeline, dry.is_not(True))
    gone = select(t.archived_release.c.version).where(
        t.archived_release.c.pipeline == pipeline, t.archived_release.c.outcome != t.DRY_RUN
    )
    return sorted(conn.execute(there.union(gone)).scalars())


def succeeded_before(conn: Connection, pipeline: str, before: datetime, limit: int) -> list[ReleaseRecord]:
    """Return the releases of a pipeline that had succeeded by then, no dry runs, the latest end first."""
    query = (
        select_releases()
        .join(t.event, t.event.c.release_id == t.release.c.release_id)
        .where(
            t.release.c.pipeline == pipeline,
            t.release.c.plan[("options", "dry_run")].as_boolean().is_not(True),
            t.event.c.kind == Kind.RELEASE_CLOSED.value,
            t.event.c.data["outcome"].as_string() == Outcome.SUCCEEDED.value,
            t.event.c.at < before,
        )
        .order_by(t.event.c.id.desc())
        .limit(limit)
    )
    return [record_of(row) for row in conn.execute(query).mappings()]


def its_release_succeeded() -> ColumnElement[bool]:
    """Say of an event whether its release has ended well."""
    closed = t.event.alias()
    return exists().where(
        closed.c.release_id == t.event.c.release_id,
        closed.c.kind == Kind.RELEASE_CLOSED.value,
        closed.c.data["outcome"].as_string() == Outcome.SUCCEEDED.value,
    )


def select_releases() -> Select[Any]:
    """Select what a :class:`ReleaseRecord` is made of."""
    return select(*(t.release.c[name] for name in ReleaseRecord.model_fields if name in t.release.c))


def record_of(row: RowMapping | dict[str, Any]) -> ReleaseRecord:
    """Build a release from its row."""
    return ReleaseRecord.model_validate({**row, "stored_hash": digest_of(row["plan"])})
