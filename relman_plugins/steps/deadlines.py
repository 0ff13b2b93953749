"""Releases, and stages of them, that take longer than their pipeline says: told once, and nothing else.

Airflow has deadline alerts of its own, for whole runs, which know nothing of stages and are no part of a
release's record. A deadline here is an event of the release, found by ``relman_maintenance``, so it goes
wherever the release's messages go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from relman_plugins.domain.event import Event, Kind, NewEvent
from relman_plugins.plan.ends import BESIDES, ENDS, ended
from relman_plugins.plan.words import duration

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord

MOST = 1000
"""Releases under way that are looked at in one round; of more, the next ones in the next round."""


def tell_overdue(ledger: Ledger) -> list[str]:
    """Record each deadline that a release under way has missed, once; return what was recorded, in words."""
    now, told = ledger.now(), []
    for release in ledger.in_flight(MOST):
        if not release.plan.shape.deadlines or release.plan.options.dry_run:
            continue
        events = ledger.events(release.release_id, kinds=[*ENDS, Kind.RELEASE_OVERDUE])
        new = [e for e in _missed(release, events, now) if ledger.record(release.release_id, e) is not None]
        told += [f"{release.release_id}: {event.data['message']}" for event in new]
    return told


def _missed(release: ReleaseRecord, events: Sequence[Event], now: datetime) -> Iterator[NewEvent]:
    shape = release.plan.shape
    ends = ended(shape, events)
    known = {event.data.get("stage") for event in events if event.kind is Kind.RELEASE_OVERDUE}
    for stage, seconds in shape.deadlines.items():
        steps = [s for s in shape.steps if (not stage or s.stage == stage) and s.kind not in BESIDES]
        since = release.opened_at
        if stage:
            mine = {s.id for s in steps}
            before = {needed for s in steps for needed in s.needs if needed not in mine}
            if any(needed not in ends for needed in before):
                continue  # the release has not come there
            since = max((ends[needed] for needed in before), default=since)
        left = [s.id for s in steps if s.id not in ends]
        due_at = since + timedelta(seconds=seconds)
        if stage in known or now <= due_at or (stage and not left):
            continue
        what = f"stage {stage}" if stage else "the release"
        waits = f"; what is left: {', '.join(left[:5])}{', …' if len(left) > 5 else ''}" if left else ""
        yield NewEvent(
            kind=Kind.RELEASE_OVERDUE,
            key=f"{release.release_id}:overdue:{stage}",
            environment=next((s.environment for s in steps if stage and s.environment), None),
            data={
                "stage": stage,
                "since": since.isoformat(),
                "due_at": due_at.isoformat(),
                "left": left,
                "message": f"{what} should have been done after {duration(seconds)}{waits}",
            },
            at=now,
        )
