"""Stopping the line: freezes that people set and lift, for every release at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from pydantic import Field
from sqlalchemy import Connection, RowMapping, func, insert, select

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.identity import Actor
from relman_plugins.errors import Refused
from relman_plugins.ledger import tables as t
from relman_plugins.ledger.ballots import decide
from relman_plugins.ledger.database import Database
from relman_plugins.ledger.gates import THAW, gate_state
from relman_plugins.ledger.record import clean_json, clean_text, release_name

_LOCK = "freezes"


Unless = Literal["", "approved"]
"""What lets a release go past a freeze: nothing, or those whom the environment names for exceptions."""


class Scope(NamedTuple):
    """What a freeze is about; all that it names must fit."""

    environment: str = ""
    pipeline: str = ""
    labels: Mapping[str, str] = {}

    def __str__(self) -> str:
        """Write the scope for people: ``checkout in production``."""
        labels = ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items()))
        what = self.pipeline or ("every pipeline" if labels else "everything")
        with_ = f" with {labels}" if labels else ""
        return f"{what}{with_} in {self.environment or 'every environment'}"


class Freeze(Frozen):
    """A freeze that is on. While it is, no step begins to change what it is about; the way back is open."""

    id: int
    environment: str
    """Where; empty for everywhere."""
    pipeline: str
    """Whose releases; empty for everybody's."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Only releases of pipelines that have all of these labels in their metadata."""
    unless: Unless = ""
    """Whether a release may go past it, once those whom its environment names have approved that."""
    reason: str
    until: datetime | None
    """When it ends by itself, UTC; None if somebody has to lift it."""
    actor: Actor
    at: datetime
    """Since when, UTC."""

    @property
    def scope(self) -> Scope:
        """Return what it is about."""
        return Scope(self.environment, self.pipeline, self.labels)

    def holds(self, pipeline: str, environment: str | None, labels: Mapping[str, str]) -> bool:
        """Say whether it is about a change of an environment by a release of a pipeline with these labels."""
        named = self.pipeline in ("", pipeline) and self.environment in ("", environment)
        return named and all(labels.get(key) == value for key, value in self.labels.items())

    def __str__(self) -> str:
        """Write the freeze for people."""
        until = f" until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        unless = ", unless an exception is approved," if self.unless else ""
        return f"{self.scope} is frozen{until}{unless} by {self.actor.name or self.actor.id}: {self.reason}"


class Freezes:
    """The freezes of a ledger: a journal to which every freeze and every thaw adds a row.

    A scope is an environment, a pipeline, labels of pipelines, or several of these, or none. Its newest row
    says whether it is frozen.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def freeze(
        self,
        *,
        environment: str,
        pipeline: str,
        labels: Mapping[str, str] | None = None,
        unless: Unless = "",
        reason: str,
        until: datetime | None,
        actor: Actor,
    ) -> Freeze:
        """Freeze a scope; of one that is frozen already, reason and end are replaced. ``until`` is aware.

        What was let past the freeze before is not let past the one that takes its place.

        Raises:
            Refused: unless a person does it and says why, and ``until`` is to come; or it would end sooner
                than the freeze that is on, or leave room for exceptions where that one leaves none.
        """
        scope = Scope(environment, pipeline, dict(labels or {}))
        _check(actor, reason, "frozen")
        with self._db.write(_LOCK) as conn:
            now = self._db.now()
            until = _utc(until)
            if until is not None and until <= now:
                raise Refused(f"the freeze would have ended at {until:%Y-%m-%d %H:%M} UTC already")
            there = next((f for f in _on(conn, now) if f.scope == scope), None)
            if there is not None and until is not None and (there.until is None or until < there.until):
                raise Refused(f"{there}. A shorter freeze would lift that one: thaw it first")
            if there is not None and unless and not there.unless:
                raise Refused(f"{there}. One with exceptions would lift that one: thaw it first")
            return _add(conn, "freeze", scope, reason, actor, now, unless=unless, until=until)

    def thaw(
        self,
        *,
        environment: str,
        pipeline: str,
        labels: Mapping[str, str] | None = None,
        reason: str,
        actor: Actor,
    ) -> Freeze | None:
        """Lift the freeze of just this scope; return what was lifted, None when it was not frozen.

        Raises:
            Refused: unless a person does it and says why.
        """
        _check(actor, reason, "thawed")
        with self._db.write(_LOCK) as conn:
            now = self._db.now()
            scope = Scope(environment, pipeline, dict(labels or {}))
            found = next((f for f in _on(conn, now) if f.scope == scope), None)
            if found is not None:
                _add(conn, "thaw", scope, reason, actor, now)
            return found

    def lay_down(self, release_id: str, gate: str) -> None:
        """End the question whether a release may go past what is thawed; of the next freeze it may be asked.

        Idempotent; what is decided stays.
        """
        with self._db.write(release_name(release_id)) as conn:
            state = gate_state(conn, release_id, gate)
            if state is not None and state.state == "open":
                why = "thawed before anybody had decided"
                decide(conn, state, "expired", Actor(), THAW, why, self._db.now())

    def on(self) -> list[Freeze]:
        """Return the freezes that are on, the oldest first."""
        now = self._db.now()
        with self._db.read() as conn:
            return _on(conn, now)

    def holding(self, pipeline: str, environment: str | None, labels: Mapping[str, str]) -> list[Freeze]:
        """Return the freezes that hold up changes of an environment by releases of such a pipeline."""
        return [freeze for freeze in self.on() if freeze.holds(pipeline, environment, labels)]


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
    scope: Scope,
    reason: str,
    actor: Actor,
    now: datetime,
    *,
    unless: Unless = "",
    until: datetime | None = None,
) -> Freeze:
    values = {
        "environment": scope.environment,
        "pipeline": scope.pipeline,
        "labels": json.dumps(clean_json(dict(scope.labels)), sort_keys=True),
        "unless": unless,
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
    values = {name: row[name] for name in Freeze.model_fields}
    return Freeze.model_validate(values | {"labels": json.loads(values["labels"])})


_NEWEST = select(func.max(t.freeze.c.id)).group_by(
    t.freeze.c.environment, t.freeze.c.pipeline, t.freeze.c.labels
)
_FROZEN = (
    select(t.freeze).where(t.freeze.c.id.in_(_NEWEST), t.freeze.c.action == "freeze").order_by(t.freeze.c.id)
)
