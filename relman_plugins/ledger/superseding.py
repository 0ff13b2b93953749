"""Superseding: who approves a newer release ends the older ones that wait at the same place.

Newer is what was opened later, whatever its version says: a hotfix of an old line that was started today is
newer than yesterday's release. A release waits at a place when it has opened a gate there and no change there
has begun. One that already changes the environment goes on, or back, as if there were no other. Functions run
in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, or_, select

from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.domain.identity import Actor
from relman_plugins.domain.status import Outcome
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.ballots import decide, environment_of
from relman_plugins.ledger.database import serialise
from relman_plugins.ledger.gates import gate_state
from relman_plugins.ledger.record import insert_event, release_name, select_events
from relman_plugins.ledger.releases import ReleaseRecord, find_release
from relman_plugins.ledger.waiving import RELIEF, unasked
from relman_plugins.plan.model import Step, StepKind

_BEFORE = (StepKind.APPROVAL, StepKind.PARITY)
"""Steps that may ask people before a stage changes anything."""


def exclude(conn: Connection, release_id: str, gate: str) -> tuple[str, ...]:
    """Exclude other writers of a gate's release and of those it may supersede; return the ids of the latter.

    Called before anything is written. All of a pipeline's gates take one name first, so that two votes never
    wait for each other's releases, and no gate opens unseen while a newer release is approved.
    """
    pipeline = select(t.release.c.pipeline).where(t.release.c.release_id == release_id)
    serialise(conn, f"gates:{conn.execute(pipeline).scalar()}")
    environment = environment_of(conn, release_id, gate)
    older = _waiting_before(conn, release_id, environment) if environment else ()
    serialise(conn, release_name(release_id), *map(release_name, older))
    return older


def supersede(
    conn: Connection, release_id: str, gate: str, older: Sequence[str], actor: Actor, now: datetime
) -> None:
    """End the ``older`` releases, if ``gate`` was the last one that the newer release needed for the place.

    ``older`` is what ``exclude`` returned in the same transaction, ``actor`` whoever approved.
    """
    newer, environment = find_release(conn, release_id), environment_of(conn, release_id, gate)
    if older and newer is not None and environment is not None and _is_approved(conn, newer, environment):
        for other in older:
            _end(conn, other, newer, environment, actor, now)


def overtaken(conn: Connection, release_id: str, gate: str, now: datetime) -> Event | None:
    """Return how a release that comes to a gate was superseded, before or just now; None when it was not.

    A newer one counts that was approved there and is on its way or has succeeded: what failed makes room.
    """
    if said := superseded(conn, release_id):
        return said
    record, environment = find_release(conn, release_id), environment_of(conn, release_id, gate)
    if record is None or environment is None or _exists(conn, release_id, Kind.CHANGE_STARTED, environment):
        return None
    if not any(s.id == gate and s.kind in _BEFORE for s in record.plan.shape.steps):
        return None
    newer = _approved_after(conn, record, environment)
    return _end(conn, release_id, newer, environment, Actor(), now) if newer else None


def superseded(conn: Connection, release_id: str) -> Event | None:
    """Return the event by which a release was superseded; None when it was not."""
    return next(iter(select_events(conn, release_id, kinds=[Kind.RELEASE_SUPERSEDED])), None)


def _end(
    conn: Connection, release_id: str, newer: ReleaseRecord, environment: str, actor: Actor, now: datetime
) -> Event | None:
    by = f"{actor.name or actor.id} approved" if actor.kind == "person" else "was approved"
    reason = f"superseded by {newer.release_id}, which {by} for {environment}"
    for gate in _gates(conn, release_id, environment):
        state = gate_state(conn, release_id, gate)
        if state is not None and state.state == "open":
            decide(conn, state, "superseded", actor, newer.release_id, reason, now)
    event = NewEvent(
        kind=Kind.RELEASE_SUPERSEDED,
        key=f"ledger:superseded:{release_id}",
        environment=environment,
        actor=actor,
        data={"by": newer.release_id, "version": newer.version, "reason": reason},
    )
    return insert_event(conn, release_id, event, now)


def _waiting_before(conn: Connection, release_id: str, environment: str) -> tuple[str, ...]:
    """Return the releases of the pipeline that were opened before this one and wait at the place."""
    query = _others(release_id).where(
        _opening(t.release.c.release_id) < _opening(release_id),
        _has(t.release.c.release_id, Kind.GATE_OPENED, environment),
        *(~_has(t.release.c.release_id, kind) for kind in _OVER),
        ~_has(t.release.c.release_id, Kind.CHANGE_STARTED, environment),
    )
    return tuple(conn.execute(query).scalars())


def _approved_after(conn: Connection, record: ReleaseRecord, environment: str) -> ReleaseRecord | None:
    """Return the newest release opened after this one that was approved for the place and has not failed."""
    query = (
        _others(record.release_id)
        .where(
            _opening(t.release.c.release_id) > _opening(record.release_id),
            or_(
                _has(t.release.c.release_id, Kind.GATE_DECIDED, environment),
                _has(t.release.c.release_id, Kind.GATE_WAIVED, environment),
                _has(t.release.c.release_id, Kind.GATE_NOT_NEEDED, environment),
            ),
            ~_has(t.release.c.release_id, Kind.ABORT_REQUESTED),
        )
        .order_by(_opening(t.release.c.release_id).desc())
    )
    for release_id in conn.execute(query).scalars():
        newer = find_release(conn, release_id)
        closed = select_events(conn, release_id, kinds=[Kind.RELEASE_CLOSED])
        failed = any(e.data.get("outcome") != Outcome.SUCCEEDED.value for e in closed)
        if newer is not None and not failed and _is_approved(conn, newer, environment):
            return newer
    return None


_OVER = (Kind.RELEASE_CLOSED, Kind.ABORT_REQUESTED, Kind.RELEASE_SUPERSEDED)


def _is_approved(conn: Connection, release: ReleaseRecord, environment: str) -> bool:
    """Say whether every approval that a release needs for a place was given, or by the record needs none."""
    gates = [
        s for s in release.plan.shape.steps if s.kind is StepKind.APPROVAL and s.environment == environment
    ]
    relief = select_events(conn, release.release_id, kinds=RELIEF)

    def holds(gate: Step) -> bool:
        if unasked(release, gate, relief):
            return True
        state = gate_state(conn, release.release_id, gate.id)
        return state is not None and state.state == "approved"

    return bool(gates) and all(map(holds, gates))


def _gates(conn: Connection, release_id: str, environment: str) -> list[str]:
    opened = select_events(conn, release_id, kinds=[Kind.GATE_OPENED])
    asked = (e for e in opened if e.environment == environment and not e.data.get("debt"))
    return list(dict.fromkeys(e.step for e in asked if e.step))


def _others(release_id: str) -> Any:
    this = t.release.alias()
    pipeline = select(this.c.pipeline).where(this.c.release_id == release_id).scalar_subquery()
    return select(t.release.c.release_id).where(
        t.release.c.pipeline == pipeline, t.release.c.release_id != release_id
    )


def _opening(release_id: Any) -> Any:
    """Return the id of the event that opened a release: ids grow, clocks of machines differ."""
    opened = t.event.alias()
    return (
        select(opened.c.id)
        .where(opened.c.release_id == release_id, opened.c.kind == Kind.RELEASE_OPENED.value)
        .scalar_subquery()
    )


def _has(release_id: Any, kind: Kind, environment: str | None = None) -> ColumnElement[bool]:
    event = t.event.alias()
    there = [event.c.environment == environment] if environment else []
    return exists().where(event.c.release_id == release_id, event.c.kind == kind.value, *there)


def _exists(conn: Connection, release_id: str, kind: Kind, environment: str) -> bool:
    return bool(conn.execute(select(_has(release_id, kind, environment))).scalar())
