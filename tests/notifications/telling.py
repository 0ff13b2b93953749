"""Events as messages are made of them, and what is read then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.identity import Actor
from relman_plugins.notifications.thread import thread_message
from relman_plugins.testing.slack import plain as read
from relman_plugins.testing.slack_rules import check_message

REVISION = {"version": "1.1.0", "digest": "sha256:" + "a" * 64, "uri": "file:///x"}
STABLE = REVISION | {"version": "1.0.0"}
AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def event(
    kind: Kind, step: str | None = "production.canary_10", actor: Actor | None = None, **data: Any
) -> Event:
    return Event(
        id=1,
        release_id="checkout-1.1.0-1",
        kind=kind,
        key="k",
        at=AT,
        step=step,
        environment="production",
        actor=actor or Actor(),
        data=data,
    )


def said(kind: Kind, **fields: Any) -> str:
    told = thread_message(event(kind, **fields))
    assert told is not None
    check_message(told.text, told.blocks, None)
    return read({"text": told.text, "blocks": told.blocks})


ALICE = Actor(kind="person", id="alice", name="Alice", via="cli")


STOPPED_LINE: list[tuple[Kind, dict[str, Any], list[str]]] = [
    (
        Kind.GATE_OPENED,
        {
            "quorum": 2,
            "people": [{"id": "alice", "name": "Alice", "slack": "U01ALICE"}],
            "subject": {
                "version": "1.1.0",
                "step": "production.freeze_exception",
                "past": [7],
                "closed": ["everything is frozen by <Dana>: incident"],
            },
        },
        ["🧊 production: to go past a freeze, this needs 2 approvals of", "frozen by <Dana>: incident"],
    ),
    (
        Kind.GATE_DECIDED,
        {"state": "expired", "by": "thaw", "comment": "thawed before anybody had decided", "round": 1},
        ["• production: nobody need decide any more, it is open again"],
    ),
    (
        Kind.GATE_WARNED,
        {
            "people": [{"id": "alice", "name": "<Alice>"}],
            "closes_at": "2026-03-09T18:00:00+00:00",
            "checklist": True,
        },
        [
            "⏳ production: at this pace the checklist will miss the closing 2026-03-09 18:00 UTC",
            "<Alice>",
            "relman approve checkout-1.1.0-1 --passed all",
        ],
    ),
    (
        Kind.RELEASE_OVERDUE,
        {"stage": "production", "message": "stage production is late", "due_at": "2026-03-09T12:00:00+00:00"},
        ["⏰ Overdue: stage production is late", "It was due "],
    ),
    (
        Kind.CALENDAR_CHANGED,
        {"message": "the windows of production are others now: now: company: deny <audit>", "calendars": []},
        ["🗓️ production: the windows of production are others now: now: company: deny <audit>"],
    ),
    (
        Kind.FREEZE_PASSED,
        {"message": "goes past what is closed, as Bob approved: everything is frozen"},
        ["🔓 production goes past what is closed, as Bob approved: everything is frozen"],
    ),
]
"""What is told of a stopped line, and the words that people need."""
