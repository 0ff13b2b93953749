"""When releases under way will be done, told where their messages go, and which answers will be too late.

A forecast of now is worth nothing tomorrow, so it is told again only when it has become another one, and in
the release's own message, which is edited in place. What people should do about it is said once at each gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from relman_plugins import settings
from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.plan.ends import ENDS
from relman_plugins.plan.routing import SLACK
from relman_plugins.reports.expected import Expected, expected

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord

MOST = 100
"""Releases under way that are looked at in one round; of more, the next ones in the next round."""

PAUSE = timedelta(minutes=5)
"""How long a look at a release stands while nothing happens, whether or not it told anything new."""

LEAST = timedelta(minutes=5)
"""A release that is done sooner needs no forecast, and one that is off by less is no other."""

SHARE = 0.25
"""By how much of the time that is left a forecast must be off to be another one."""

_MOVES = (*ENDS, Kind.GATE_OPENED, Kind.RELEASE_HELD, Kind.RELEASE_RESUMED, Kind.CALENDAR_CHANGED)
"""Kinds of events after which a forecast is made anew at once."""


def tell(ledger: Ledger) -> list[str]:
    """Record the forecasts that have become others, and the gates that will be late; return both in words.

    Raises:
        LedgerUnavailable: The ledger does not answer.
    """
    now, told = ledger.now(), []
    for release in ledger.in_flight(MOST):
        if not any(route.channel == SLACK for route in release.plan.shape.all_routes):
            continue  # nobody would read it
        events = ledger.events(release.release_id, kinds=[*_MOVES, Kind.RELEASE_FORECAST])
        last = next((e for e in reversed(events) if e.kind is Kind.RELEASE_FORECAST), None)
        moved = max((e.id for e in events if e.kind in _MOVES), default=0)
        if not ledger.is_first(f"forecast:{release.release_id}:{moved}", PAUSE.total_seconds()):
            continue
        made = expected(ledger, release, settings.minimum_deferral())
        new = _warnings(ledger, release, made)
        if _is_another(made, last, now):
            new.insert(0, _forecast(release, made, events))
        told += [
            f"{release.release_id}: {event.data['message']}"
            for event in new
            if ledger.record(release.release_id, event) is not None
        ]
    return told


def _is_another(made: Expected, last: Event | None, now: datetime) -> bool:
    said = last.data if last is not None else {}
    before = [datetime.fromisoformat(said[key]) for key in ("p50", "p90") if said.get(key)]
    if made.forecast is None:
        return bool(before)
    found = [made.forecast.p50, made.forecast.p90]
    slack = max(SHARE * (found[1] - now), LEAST)
    if not before:
        return found[1] - now > LEAST
    return any(abs(new - old) > slack for new, old in zip(found, before, strict=True))


def _forecast(release: ReleaseRecord, made: Expected, events: Sequence[Event]) -> NewEvent:
    n = sum(e.kind is Kind.RELEASE_FORECAST for e in events) + 1
    it = made.forecast
    data: dict[str, Any] = {"message": f"no forecast any more: {made.why_not}"}
    if it is not None:
        data = {
            "message": f"done about {it.p50:%Y-%m-%d %H:%M} UTC, with 90 % by {it.p90:%Y-%m-%d %H:%M} UTC",
            "p50": it.p50.isoformat(),
            "p90": it.p90.isoformat(),
            "waits_for": it.critical[0].step if it.critical else None,
            "releases": it.releases,
        }
    key = f"{release.release_id}:forecast:{n}"
    return NewEvent(kind=Kind.RELEASE_FORECAST, key=key, data=data)


def _warnings(ledger: Ledger, release: ReleaseRecord, made: Expected) -> list[NewEvent]:
    found = []
    for late, said in zip(made.forecast.late if made.forecast else (), made.says, strict=True):
        gate = ledger.votes.gate(release.release_id, late.gate)
        if gate is None or gate.state != "open":
            continue
        event = NewEvent(
            kind=Kind.GATE_WARNED,
            key=f"{release.release_id}:{late.gate}:warned:{gate.round}",
            step=late.gate,
            environment=release.plan.shape.step(late.window).environment,
            data={
                "message": said,
                "window": late.window,
                "closes_at": late.closes_at.isoformat(),
                "chance": late.chance,
                "people": [p.model_dump(mode="json") for p in gate.awaited],
                "round": gate.round,
                "checklist": bool(gate.subject.get("checklist")),
                "asker": gate.asker,
            },
        )
        found.append(event)
    return found
