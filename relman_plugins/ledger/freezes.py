"""Stopping the line: freezes that people set and lift, for every release at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.identity import Actor
from relman_plugins.errors import Refused
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.record import clean_json, clean_text

_LOCK = "freezes"


class Freeze(Frozen):
    """A freeze that is on. While it is, no step begins to change what it is about; the way back is open."""

    id: int
    environment: str
    """Where; empty for everywhere."""
    pipeline: str
    """Whose releases; empty for everybody's."""
    reason: str
    until: datetime | None
    """When it ends by itself, UTC; None if somebody has to lift it."""
    actor: Actor
    at: datetime
    """Since when, UTC."""

    def holds(self, pipeline: str, environment: str | None) -> bool:
        """Say whether it is about a release's change of an environment."""
        return self.pipeline in ("", pipeline) and self.environment in ("", environment)

    def __str__(self) -> str:
        """Write the freeze for people."""
        what = f"{self.pipeline or 'everything'} in {self.environment or 'every environment'}"
        until = f" until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"{what} is frozen{until} by {self.actor.name or self.actor.id}: {self.reason}"


class Freezes:
    """The freezes of a ledger: a journal to which every freeze and every thaw adds a row.

    A scope is an environment, a pipeline, both or neither. Its newest row says whether it is frozen.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def freeze(
        self, *, environment: str, pipeline: str, reason: str, until: datetime | None, actor: Actor
    ) -> Freeze:
        """Freeze a scope; of one that is frozen already, reason and end are replaced. ``until`` is aware.

        Raises:
            Refused: unless a person does it and says why, and ``until`` is to come; or it would end sooner
                than the freeze that is on.
        """
        _check(actor, reason, "frozen")
        with self._db.write(_LOCK) as conn:
            now = self._db.now()
            until = _utc(until)
            if until is not None and until <= now:
                raise Refused(f"the freeze would have ended at {until:%Y-%m-%d %H:%M} UTC already")
            there = next(
                (f for f in _on(conn, now) if (f.environment, f.pipeline) == (environment, pipeline)), None
            )
            if there is not None and until is not None and (there.until is None or until < there.until):
                raise Refused(f"{there}. A shorter freeze would lift that one: thaw it first")
            return _add(conn, "freeze", environment, pipeline, reason, until, actor, now)

    def thaw(self, *, environment: str, pipeline: str, reason: str, actor: Actor) -> Freeze | None:
        """Lift the freeze of just this scope; return what was lifted, None when it was not frozen.

        Raises:
            Refused: unless a person does it and says why.
        """
        _check(actor, reason, "thawed")
        with self._db.write(_LOCK) as conn:
            now = self._db.now()
            scope = (environment, pipeline)
            found = next((f for f in _on(conn, now) if (f.environment, f.pipeline) == scope), None)
            if found is not None:
                _add(conn, "thaw", environment, pipeline, reason, None, actor, now)
            return found

    def on(self) -> list[Freeze]:
        """Return the freezes that are on, the oldest first."""
        now = self._db.now()
        with self._db.read() as conn:
            return _on(conn, now)

    def holding(self, pipeline: str, environment: str | None) -> list[Freeze]:
        """Return the freezes that hold up a release's changes of an environment."""
        return [freeze for freeze in self.on() if freeze.holds(pipeline, environment)]


def _utc(until: datetime | None) -> datetime | None:
    try:
        return until.astimezone(UTC) if until is not None else None
    except OverflowError:
        raise Refused(
            "the end of the freeze is no time that can be kept; leave it out for one without end"
        ) from None


def _check(actor: Actor, reason: str, what: str) -> None:
    if actor.kind != "person" or not clean_text(reason).strip():
        raise Refused(f"the line is {what} only by a named person who gives a reason")


def _add(
    conn: Connection,
    action: str,
    environment: str,
    pipeline: str,
    reason: str,
    until: datetime | None,
    actor: Actor,
    now: datetime,
) -> Freeze:
    values = {
        "environment": environment,
        "pipeline": pipeline,
        "action": action,
        "reason": clean_text(reason.strip()),
        "until": until,
        "actor": clean_json(actor.model_dump(mode="json")),
        "at": now,
    }
    (row_id,) = conn.execute(insert(t.freeze).values(values)).inserted_primary_key or (0,)
    return _freeze_of({**values, "id": row_id})


def _on(conn: Connection, now: datetime) -> list[Freeze]:
    found = map(_freeze_of, conn.execute(_FROZEN).mappings())
    return [f for f in found if f.until is None or now < f.until]


def _freeze_of(row: Mapping[str, Any] | RowMapping) -> Freeze:
    return Freeze.model_validate({name: row[name] for name in Freeze.model_fields})


_NEWEST = select(func.max(t.freeze.c.id)).group_by(t.freeze.c.environment, t.freeze.c.pipeline)
_FROZEN = (
    select(t.freeze).where(t.freeze.c.id.in_(_NEWEST), t.freeze.c.action == "freeze").order_by(t.freeze.c.id)
)
