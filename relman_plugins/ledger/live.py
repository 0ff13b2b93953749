"""What is live in an environment, of all services, as the last recorded changes left it."""

from __future__ import annotations

from sqlalchemy import Connection, exists, func, select

from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import Revision
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.projections import stable_of
from relman_plugins.ledger.record import event_of
from relman_plugins.ledger.releases import ReleaseRecord, record_of, select_releases


def live(db: Database, environment: str) -> dict[str, Revision]:
    """Return the stable revision of each service in an environment; services without one are left out."""
    with db.read() as conn:
        return live_in(conn, environment)


def live_in(conn: Connection, environment: str) -> dict[str, Revision]:
    """Do as ``live``, in a transaction."""
    newest = (
        select(t.release.c.service, func.max(t.event.c.id).label("id"))
        .join(t.release, t.release.c.release_id == t.event.c.release_id)
        .where(
            t.event.c.environment == environment,
            t.event.c.kind.in_([Kind.CHANGE_FINISHED.value, Kind.ENVIRONMENT_REMOVED.value]),
        )
        .group_by(t.release.c.service)
        .subquery()
    )
    query = select(newest.c.service, *t.event.c).join(newest, newest.c.id == t.event.c.id)
    rows = list(conn.execute(query.order_by(newest.c.service)).mappings())
    found = {
        row["service"]: stable_of([event_of({k: v for k, v in row.items() if k != "service"})])
        for row in rows
    }
    return {service: revision for service, revision in found.items() if revision is not None}


def brought(db: Database, environment: str, service: str, revision: Revision) -> ReleaseRecord | None:
    """Return the release that built a revision and made it the stable one of an environment, the latest.

    By version and digest: another release of the same version says nothing of what is live. None when that is
    not on record.
    """
    built = t.event.alias()
    itself = exists().where(
        built.c.release_id == t.event.c.release_id,
        built.c.kind == Kind.ARTIFACT_BUILT.value,
        built.c.data[("revision", "digest")].as_string() == revision.digest,
        built.c.data[("revision", "version")].as_string() == revision.version,
    )
    query = (
        select_releases()
        .join(t.event, t.event.c.release_id == t.release.c.release_id)
        .where(
            t.release.c.service == service,
            t.event.c.environment == environment,
            t.event.c.kind == Kind.CHANGE_FINISHED.value,
            t.event.c.data["promoted"].as_boolean().is_(True),
            t.event.c.data[("stable", "digest")].as_string() == revision.digest,
            t.event.c.data[("stable", "version")].as_string() == revision.version,
            itself,
        )
        .order_by(t.event.c.id.desc())
        .limit(1)
    )
    with db.read() as conn:
        row = conn.execute(query).mappings().first()
    return None if row is None else record_of(row)
