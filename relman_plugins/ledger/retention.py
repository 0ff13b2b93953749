"""Which releases the ledger still needs: what others are compared with, roll back to, or wait for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, and_, exists, func, or_, select

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.record import event_of
from relman_plugins.ledger.releases import its_release_succeeded
from relman_plugins.ledger.rollbacks import KINDS, asked_of

SUCCESSES = 20
"""The latest successful releases of each pipeline that stay: reports set later ones beside them."""

CHANGERS = 2
"""The latest releases that changed an environment and stay, for each service: what runs, and the way back."""

_CHANGES = (Kind.CHANGE_STARTED, Kind.CHANGE_FINISHED, Kind.ENVIRONMENT_REMOVED)


def needed(conn: Connection) -> dict[str, str]:
    """Return the releases that must stay, whatever their age, and why each of them."""
    found: dict[str, str] = {}
    for why, ids in (
        ("is still under way", _under_way(conn)),
        ("holds a lock", conn.execute(select(t.lock.c.release_id)).scalars()),
        (
            "has an ephemeral environment",
            conn.execute(select(t.ephemeral.c.release_id).where(t.ephemeral.c.state == "live")).scalars(),
        ),
        (
            "has messages that wait",
            conn.execute(select(t.outbox.c.release_id).where(t.outbox.c.state == "pending")).scalars(),
        ),
        ("has a rollback that was asked for", _asked(conn)),
        ("skipped in an emergency what is neither approved nor settled since", _owing(conn)),
        ("is what an environment runs or would go back to", _changers(conn)),
        ("is the newest of its pipeline", _newest(conn)),
        (f"is one of the last {SUCCESSES} successful ones of its pipeline", _succeeded(conn)),
        ("has the last result of a suite", _suites(conn)),
    ):
        for release_id in ids:
            found.setdefault(release_id, why)
    return found


def _under_way(conn: Connection) -> Iterable[str]:
    closed = exists().where(
        t.event.c.release_id == t.release.c.release_id, t.event.c.kind == Kind.RELEASE_CLOSED.value
    )
    return conn.execute(select(t.release.c.release_id).where(~closed)).scalars()


def _owing(conn: Connection) -> Iterable[str]:
    decided = t.event.alias()
    settled = exists().where(
        decided.c.release_id == t.event.c.release_id,
        decided.c.step == t.event.c.step,
        or_(
            decided.c.kind == Kind.GATE_SETTLED.value,
            and_(
                decided.c.kind == Kind.GATE_DECIDED.value,
                decided.c.data["state"].as_string() == "approved",
            ),
        ),
    )
    query = select(t.event.c.release_id).where(
        t.event.c.kind == Kind.GATE_OPENED.value, t.event.c.data["debt"].as_boolean(), ~settled
    )
    return conn.execute(query).scalars()


def _asked(conn: Connection) -> Iterable[str]:
    asking = select(t.event.c.release_id).where(t.event.c.kind == Kind.ROLLBACK_REQUESTED.value)
    ids = list(conn.execute(asking.distinct()).scalars())
    by_release: dict[str, list[Event]] = defaultdict(list)
    query = select(t.event).where(t.event.c.release_id.in_(ids), t.event.c.kind.in_([k.value for k in KINDS]))
    for row in conn.execute(query.order_by(t.event.c.id)).mappings():
        by_release[row["release_id"]].append(event_of(row))
    return [name for name, events in by_release.items() if any(not a.ended for a in asked_of(events))]


def _changers(conn: Connection) -> Iterable[str]:
    last = func.max(t.event.c.id)
    query = (
        select(t.event.c.environment, t.release.c.service, t.release.c.release_id)
        .join(t.release, t.release.c.release_id == t.event.c.release_id)
        .where(t.event.c.kind.in_([k.value for k in _CHANGES]), t.event.c.environment.is_not(None))
        .group_by(t.event.c.environment, t.release.c.service, t.release.c.release_id)
        .order_by(last.desc())
    )
    by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
    for environment, service, release_id in conn.execute(query):
        if len(by_place[environment, service]) < CHANGERS:
            by_place[environment, service].append(release_id)
    changers = {release_id for ids in by_place.values() for release_id in ids}
    return [*changers, *_builders(conn, changers)]


def _builders(conn: Connection, changers: Iterable[str]) -> Iterable[str]:
    """Return who built what these brought or found: a rollback asks for the artifact on record."""
    wanted: set[tuple[str, str]] = set()
    query = (
        select(t.release.c.service, t.release.c.version, t.event.c.data)
        .join(t.event, t.release.c.release_id == t.event.c.release_id)
        .where(t.release.c.release_id.in_(list(changers)), t.event.c.kind == Kind.CHANGE_STARTED.value)
    )
    for service, version, data in conn.execute(query):
        wanted.add((service, version))
        if previous := (data.get("previous") or {}).get("version"):
            wanted.add((service, previous))
    built = (
        select(t.release.c.release_id, t.release.c.service, t.release.c.version)
        .join(t.event, t.release.c.release_id == t.event.c.release_id)
        .where(t.event.c.kind == Kind.ARTIFACT_BUILT.value, t.release.c.version.in_({v for _, v in wanted}))
        .distinct()
    )
    return [row.release_id for row in conn.execute(built) if (row.service, row.version) in wanted]


def _newest(conn: Connection) -> Iterable[str]:
    query = select(t.release.c.pipeline, t.release.c.release_id)
    ordered = query.order_by(t.release.c.opened_at, t.release.c.release_id)
    return {row.pipeline: row.release_id for row in conn.execute(ordered)}.values()


def _succeeded(conn: Connection) -> Iterable[str]:
    by_pipeline: dict[str, list[str]] = defaultdict(list)
    query = (
        select(t.release.c.pipeline, t.release.c.release_id)
        .join(t.event, t.release.c.release_id == t.event.c.release_id)
        .where(
            t.event.c.kind == Kind.RELEASE_CLOSED.value,
            t.event.c.data["outcome"].as_string() == Outcome.SUCCEEDED.value,
        )
        .order_by(t.event.c.id.desc())
    )
    for pipeline, release_id in conn.execute(query):
        if len(by_pipeline[pipeline]) < SUCCESSES:
            by_pipeline[pipeline].append(release_id)
    return [release_id for ids in by_pipeline.values() for release_id in ids]


def _suites(conn: Connection) -> Iterable[str]:
    query = (
        select(t.release.c.pipeline, t.event.c.data["suite"].as_string().label("suite"), t.event.c.release_id)
        .join(t.event, t.release.c.release_id == t.event.c.release_id)
        .where(t.event.c.kind == Kind.SUITE_FINISHED.value, its_release_succeeded())
        .order_by(t.event.c.id)
    )
    return {(row.pipeline, row.suite): row.release_id for row in conn.execute(query)}.values()
