"""What people were asked, on the way and afterwards, and what they answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from relman_plugins.domain.condition import NotNeeded
from relman_plugins.domain.event import Event, Kind
from relman_plugins.domain.follow_up import read
from relman_plugins.reports.model import FollowUpReport, GateReport, VoteReport


def gates_of(events: Sequence[Event], end: datetime) -> tuple[GateReport, ...]:
    """Return each round of each gate; ``end`` ends the waiting of one that nobody decided."""
    return tuple(
        _gate(e, events, end) if e.kind is Kind.GATE_OPENED else _unasked(e)
        for e in events
        if e.kind is Kind.GATE_OPENED or (e.kind is Kind.GATE_NOT_NEEDED and not e.data.get("left"))
    )


def _unasked(passed: Event) -> GateReport:
    """Return a gate that nobody was asked at, since the risk of the release asked for no rule of it."""
    subject = passed.data["subject"]
    return GateReport(
        step=passed.step or "",
        environment=passed.environment,
        round=0,
        asked=(),
        quorum=0,
        opened_at=passed.at,
        state="not needed",
        decided_at=passed.at,
        subject_digest=str(passed.data["subject_digest"]),
        artifact_digest=str(subject.get("artifact_digest") or ""),
        plan_hash=str(subject.get("plan_hash") or ""),
        not_needed=_spared(passed.data["rules"]),
    )


def _spared(rules: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(NotNeeded.model_validate(rule).line() for rule in rules)


def _gate(opened: Event, events: Sequence[Event], end: datetime) -> GateReport:
    data, subject = opened.data, opened.data.get("subject") or {}
    own = [e for e in events if e.step == opened.step and e.data.get("round") == data.get("round")]
    decided = next((e for e in own if e.kind is Kind.GATE_DECIDED), None)
    return GateReport(
        step=opened.step or "",
        environment=opened.environment,
        round=int(data.get("round", 1)),
        asked=tuple(str(p.get("name") or p.get("id")) for p in data.get("people") or ()),
        quorum=int(data.get("quorum", 1)),
        opened_at=opened.at,
        state=str(decided.data["state"]) if decided else "undecided",
        decided_at=decided.at if decided else None,
        decided_by=str(decided.data.get("by", "")) if decided else "",
        waited_s=max(0.0, ((decided.at if decided else end) - opened.at).total_seconds()),
        subject_digest=str(data.get("subject_digest", "")),
        artifact_digest=str(subject.get("artifact_digest") or ""),
        plan_hash=str(subject.get("plan_hash") or ""),
        not_needed=_spared(data.get("not_needed") or ()),
        votes=tuple(_vote(e, opened) for e in own if e.kind is Kind.GATE_VOTED),
    )


def _vote(event: Event, opened: Event) -> VoteReport:
    return VoteReport(
        person=event.actor.name or event.actor.id,
        decision=str(event.data.get("decision", "")),
        comment=str(event.data.get("comment") or ""),
        via=str(event.data.get("via") or ""),
        at=event.at,
        after_s=(event.at - opened.at).total_seconds(),
    )


def follow_ups_of(events: Sequence[Event]) -> FollowUpReport | None:
    """Return what was asked for and wanted after the release; None when nobody was asked."""
    asked = next((e for e in events if e.kind is Kind.FOLLOW_UP_ASKED), None)
    if asked is None:
        return None
    given = next((e for e in events if e.kind is Kind.FOLLOW_UP), None)
    over = any(e.kind is Kind.STEP_FINISHED and e.step == asked.step for e in events)
    items = read(given.data) if given else ()
    return FollowUpReport(
        asked=tuple(str(p.get("name") or p.get("id")) for p in asked.data.get("people") or ()),
        until=datetime.fromisoformat(asked.data["until"]),
        state="given" if items else "none given" if given or over else "asked",
        by=(given.actor.name or given.actor.id) if given else "",
        at=given.at if given else None,
        items=items,
    )
