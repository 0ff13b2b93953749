"""What is live in an environment, of all services, as the last recorded changes left it."""

from __future__ import annotations

from sqlalchemy import func, select

from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import Revision
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.projections import stable_of
from relman_plugins.ledger.record import event_of


def live(db: Database, environment: str) -> dict[str, Revision]:
    """Return the stable revision of each service in an environment; services without one are left out."""
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
    with db.read() as conn:
        rows = list(conn.execute(query.order_by(newest.c.service)).mappings())
    found = {
        row["service"]: stable_of([event_of({k: v for k, v in row.items() if k != "service"})])
        for row in rows
    }
    return {service: revision for service, revision in found.items() if revision is not None}
