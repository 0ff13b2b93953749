"""What an earlier release recorded of a suite: what a later one is compared with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.event import Kind
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.record import event_of
from relman_plugins.ledger.releases import ReleaseRecord, its_release_succeeded


class LastSuite(Frozen):
    """What the latest release that succeeded recorded of one suite."""

    release_id: str
    version: str
    reports: tuple[dict[str, Any], ...] = ()
    """As in ``suite.finished``."""
    fingerprints: frozenset[str] | None = None
    """Of its findings, as in ``findings.recorded``; None when it recorded none."""


def last_suite(db: Database, release: ReleaseRecord, suite: str) -> LastSuite | None:
    """Return what the latest succeeded release of the same pipeline recorded of a suite that it ran.

    A release that ran it in several environments counts with the last of them. None when there is no such
    release: then everything is new.
    """
    query = (
        select(t.release.c.release_id, t.release.c.version)
        .join(t.event, t.event.c.release_id == t.release.c.release_id)
        .where(
            t.release.c.pipeline == release.pipeline,
            t.release.c.release_id != release.release_id,
            _of(Kind.SUITE_FINISHED, suite),
            its_release_succeeded(),
        )
        .order_by(t.event.c.id.desc())
        .limit(1)
    )
    with db.read() as conn:
        found = conn.execute(query).first()
        if found is None:
            return None
        finished = _latest(conn, found.release_id, Kind.SUITE_FINISHED, suite) or {}
        scanned = _latest(conn, found.release_id, Kind.FINDINGS_RECORDED, suite)
        return LastSuite(
            release_id=found.release_id,
            version=found.version,
            reports=tuple(finished.get("reports") or ()),
            fingerprints=frozenset(scanned["fingerprints"]) if scanned else None,
        )


def _of(kind: Kind, suite: str) -> ColumnElement[bool]:
    return and_(t.event.c.kind == kind.value, t.event.c.data["suite"].as_string() == suite)


def _latest(conn: Connection, release_id: str, kind: Kind, suite: str) -> dict[str, Any] | None:
    query = (
        select(t.event)
        .where(t.event.c.release_id == release_id, _of(kind, suite))
        .order_by(t.event.c.id.desc())
        .limit(1)
    )
    row = conn.execute(query).mappings().first()
    return None if row is None else event_of(row).data
