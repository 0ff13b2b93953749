"""Events: what the ledger is made of.

An event says that something happened. It is written once: ``key`` is its idempotency key, and a second
event with the same key is dropped, whatever it says.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from relman_plugins.domain.base import Frozen
from relman_plugins.domain.identity import Actor


class Kind(StrEnum):
    """Every kind of event, ``<noun>.<past participle>``. Kinds are added, never renamed."""

    RELEASE_OPENED = "release.opened"
    RELEASE_CLOSED = "release.closed"
    FOLLOW_UP_ASKED = "release.follow_up_asked"
    FOLLOW_UP = "release.follow_up"
    RELEASE_HELD = "release.held"
    RELEASE_RESUMED = "release.resumed"
    ABORT_REQUESTED = "release.abort_requested"
    RELEASE_OVERDUE = "release.overdue"
    RELEASE_FORECAST = "release.forecast"
    RELEASE_SUPERSEDED = "release.superseded"
    ROLLBACK_REQUESTED = "release.rollback_requested"
    STEP_STARTED = "step.started"
    STEP_FINISHED = "step.finished"
    STEP_FAILED = "step.failed"
    STEP_REFUSED = "step.refused"
    CHANGE_ASSESSED = "change.assessed"
    CHANGE_OUTDATED = "change.outdated"
    ARTIFACT_BUILT = "artifact.built"
    ENVIRONMENT_PROVISIONED = "environment.provisioned"
    ENVIRONMENT_REMOVED = "environment.removed"
    PARITY_COMPARED = "parity.compared"
    TICKET_CHECKED = "ticket.checked"
    TICKET_WAITED = "ticket.waited"
    TICKET_ASKED = "ticket.asked"
    TICKET_CREATED = "ticket.created"
    CHANGE_STARTED = "change.started"
    CHANGE_FINISHED = "change.finished"
    SUITE_FINISHED = "suite.finished"
    FINDINGS_RECORDED = "findings.recorded"
    GATE_OPENED = "gate.opened"
    GATE_REMINDED = "gate.reminded"
    GATE_WARNED = "gate.warned"
    GATE_VOTED = "gate.voted"
    GATE_VOTE_WITHDRAWN = "gate.vote_withdrawn"
    GATE_DECIDED = "gate.decided"
    GATE_BYPASSED = "gate.bypassed"
    GATE_ESCALATED = "gate.escalated"
    GATE_WAIVED = "gate.waived"
    GATE_NOT_NEEDED = "gate.not_needed"
    GATE_OVERDUE = "gate.overdue"
    GATE_SETTLED = "gate.settled"
    VOTE_REFUSED = "vote.refused"
    WINDOW_WAITED = "window.waited"
    WINDOW_PASSED = "window.passed"
    CALENDAR_CHANGED = "calendar.changed"
    FREEZE_WAITED = "freeze.waited"
    FREEZE_PASSED = "freeze.passed"
    ANALYSIS_MEASURED = "analysis.measured"
    ANALYSIS_FINISHED = "analysis.finished"
    TRAFFIC_WITHDRAWN = "traffic.withdrawn"
    ROLLBACK_FINISHED = "rollback.finished"
    ROLLBACK_REFUSED = "rollback.refused"
    ROLLBACK_FAILED = "rollback.failed"
    LOCK_ACQUIRED = "lock.acquired"
    LOCK_RELEASED = "lock.released"
    LOCK_BROKEN = "lock.broken"
    LOCK_EXPIRED = "lock.expired"


class NewEvent(Frozen):
    """An event about to be recorded."""

    kind: Kind
    key: str
    """Idempotency key, unique in the ledger: what makes this the same event when a retry writes it again."""
    step: str | None = None
    environment: str | None = None
    actor: Actor = Actor()
    data: dict[str, Any] = Field(default_factory=dict)
    """JSON: what happened. Never secrets."""
    at: datetime | None = None
    """When it happened (aware); None means when it is recorded. Replayed events carry it."""


class Event(Frozen):
    """A recorded event."""

    id: int
    """Position in the ledger; grows, with gaps."""
    release_id: str
    kind: Kind
    key: str
    at: datetime
    """UTC."""
    step: str | None
    environment: str | None
    actor: Actor
    data: dict[str, Any]
    hash: str = ""
    """Over all of it and the event before it, see :mod:`relman_plugins.domain.chain`."""
