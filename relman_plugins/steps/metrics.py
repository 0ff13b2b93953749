"""What a release adds to Airflow's metrics: told once, when it closes, from its record.

The record has every event once whatever was killed, so the numbers are right where those of running processes
would not be. What stands at the moment (releases in flight, gates that wait) ``relman_maintenance`` tells.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from relman_plugins import telemetry
from relman_plugins.domain.event import Event, Kind
from relman_plugins.notifications.limits import GIVE_UP_AGE

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger, ReleaseRecord

log = logging.getLogger(__name__)

_CAUSES = (Kind.TRAFFIC_WITHDRAWN, Kind.STEP_FAILED, Kind.STEP_REFUSED, Kind.ABORT_REQUESTED)


def tell(release: ReleaseRecord, events: Iterable[Event]) -> None:
    """Tell what became of a closed release; ``events`` are all of its, oldest first. Never raises."""
    try:
        _tell(release, events)
    except Exception:
        # Data of another shape, which another version wrote, must not keep a release from its end.
        log.exception("the metrics of %s are incomplete", release.release_id)


def _tell(release: ReleaseRecord, events: Iterable[Event]) -> None:
    seen, pipeline = list(events), release.pipeline
    kinds = {s.id: s.kind.value for s in release.plan.shape.steps}
    started: dict[str | None, datetime] = {}
    for event in seen:
        about = {"pipeline": pipeline, "environment": event.environment, "kind": kinds.get(event.step or "")}
        match event.kind:
            case Kind.RELEASE_CLOSED:
                outcome = str(event.data["outcome"])
                telemetry.count(f"release.{outcome}", pipeline=pipeline)
                seconds = (event.at - release.opened_at).total_seconds()
                telemetry.took("release.duration", seconds, pipeline=pipeline, outcome=outcome)
            case Kind.STEP_STARTED | Kind.GATE_OPENED:
                started.setdefault(f"{event.kind}:{event.step}", event.at)
            case Kind.STEP_FINISHED:
                _since(started.get(f"{Kind.STEP_STARTED}:{event.step}"), event, "step.duration", **about)
            case Kind.STEP_FAILED:
                telemetry.count("step.failed", **about)
            case Kind.STEP_REFUSED:
                telemetry.count("step.refused", **about)
            case Kind.GATE_VOTED:
                telemetry.count(f"vote.{event.data['decision']}", pipeline=pipeline)
            case Kind.GATE_DECIDED:
                about |= {"state": str(event.data["state"])}
                _since(started.pop(f"{Kind.GATE_OPENED}:{event.step}", None), event, "gate.wait", **about)
            case Kind.SUITE_FINISHED:
                result = "passed" if event.data["passed"] else "failed"
                about |= {"suite": str(event.data["suite"]), "result": result}
                telemetry.took("suite.duration", float(event.data.get("seconds") or 0), **about)
            case Kind.TRAFFIC_WITHDRAWN:
                telemetry.took("traffic.withdrawal", float(event.data["seconds"]), **about)
            case Kind.ROLLBACK_FINISHED:
                _since(_cause(seen, event), event, "rollback.duration", **about)
            case _:
                pass


def tell_standing(ledger: Ledger) -> None:
    """Tell what there is now: releases in flight, gates that wait, messages that wait or were given up."""
    active = ledger.releases(active=True, limit=1000)
    waiting = sum(len(ledger.status(r.release_id).waiting_for) for r in active)
    telemetry.level("releases.active", len(active))
    telemetry.level("gates.waiting", waiting)
    telemetry.level("outbox.pending", ledger.outbox.pending())
    gone = ledger.outbox.backlog(since=datetime.now(UTC) - GIVE_UP_AGE)
    telemetry.level("outbox.given_up", sum(channel.given_up for channel in gone))


def _since(began: datetime | None, event: Event, name: str, **tags: str | None) -> None:
    if began is not None:
        telemetry.took(name, (event.at - began).total_seconds(), **tags)


def _cause(events: list[Event], rollback: Event) -> datetime | None:
    """Return when it was first known that this environment had to go back."""
    here = (None, rollback.environment)
    known = (e.at for e in events if e.kind in _CAUSES and e.environment in here and e.id < rollback.id)
    return next(known, None)
