"""What became of the changes of many releases at once: for figures over a time, not for one release."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from relman_plugins.domain.event import Kind
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.releases import ReleaseRecord, list_releases

_KINDS = (Kind.CHANGE_FINISHED, Kind.TRAFFIC_WITHDRAWN, Kind.ROLLBACK_FINISHED, Kind.RELEASE_CLOSED)


class Moment(NamedTuple):
    """One event of a release that changed an environment."""

    release_id: str
    opened_at: datetime
    """UTC; when the release was opened."""
    kind: Kind
    at: datetime
    """UTC."""
    weight: int = 0
    """Of a finished change: the share of the traffic that the release's version has, in percent."""
    promoted: bool = False
    """Of a finished change: whether the version is the stable one from here on."""
    outcome: str = ""
    """Of a closed release."""


def newest(conn: Connection) -> list[ReleaseRecord]:
    """Return the newest release of each pipeline, by name of the pipeline."""
    query = select(t.release.c.pipeline).distinct().order_by(t.release.c.pipeline)
    return [r for name in conn.execute(query).scalars() for r in list_releases(conn, name, 1)]


def moments(
    conn: Connection, environment: str, pipelines: Collection[str], since: datetime, until: datetime
) -> dict[str, list[Moment]]:
    """Return what the releases of each pipeline did in an environment, oldest first, dry runs left out.

    Every pipeline asked for is in the result. Of each release that did something there in the time (both ends
    aware, the later one not included) everything is returned, also from before and after. One query for all
    of them: the database goes through what happened in the environment once.
    """
    in_time = (t.event.c.at >= since) & (t.event.c.at < until)
    there = t.event.c.environment == environment
    own = select(t.release.c.release_id).where(
        t.release.c.pipeline.in_(pipelines),
        t.release.c.plan[("options", "dry_run")].as_boolean().is_not(True),
    )
    touched = select(t.event.c.release_id).where(
        t.event.c.release_id.in_(own), t.event.c.kind.in_([k.value for k in _KINDS[:3]]), in_time, there
    )
    query = (
        select(
            t.release.c.pipeline,
            t.event.c.release_id,
            t.release.c.opened_at,
            t.event.c.kind,
            t.event.c.at,
            t.event.c.data,
        )
        .join(t.release, t.release.c.release_id == t.event.c.release_id)
        .where(
            t.event.c.release_id.in_(touched),
            t.event.c.kind.in_([k.value for k in _KINDS]),
            there | (t.event.c.kind == Kind.RELEASE_CLOSED.value),
        )
        .order_by(t.event.c.id)
    )
    found: dict[str, list[Moment]] = {name: [] for name in pipelines}
    for pipeline, *rest in conn.execute(query):
        found[pipeline].append(_moment(*rest))
    return found


def _moment(release_id: str, opened_at: datetime, kind: str, at: datetime, data: dict[str, Any]) -> Moment:
    desired = data.get("desired") or {}
    return Moment(
        release_id=release_id,
        opened_at=opened_at,
        kind=Kind(kind),
        at=at,
        weight=int(desired.get("candidate_weight") or 0) if desired.get("candidate") else 0,
        promoted=bool(data.get("promoted")),
        outcome=str(data.get("outcome") or ""),
    )
