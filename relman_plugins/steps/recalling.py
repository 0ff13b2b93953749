"""Calendars that were edited: releases in flight are told, and those that wait look again.

Found by ``relman_maintenance``, whose runs have the specs as they are now, also where a release's own run is
pinned to an older version of them. From then on the record says when the release's windows are open.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.errors import RelmanError
from relman_plugins.plan.ends import ENDS
from relman_plugins.plan.in_force import edited
from relman_plugins.plan.model import StepKind

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Ledger
    from relman_plugins.plan.model import Shape

MOST = 1000
"""Releases under way that are looked at in one round; of more, the next ones in the next round."""

log = logging.getLogger(__name__)


def tell_edited(ledger: Ledger, specs: Path) -> list[str]:
    """Record the calendars that are others now for releases under way; return what was, in words.

    A pipeline whose spec can't be read, or is gone, keeps the calendars that it has.

    Args:
        ledger: where the releases are.
        specs: the folder of the specs.
    """
    now: dict[str, Shape | None] = {}
    told = []
    for release in ledger.in_flight(MOST):
        if all(step.kind is not StepKind.WINDOW for step in release.plan.shape.steps):
            continue
        if release.pipeline not in now:
            now[release.pipeline] = _shape(specs / f"{release.pipeline}.yaml")
        if (shape := now[release.pipeline]) is None:
            continue
        events = ledger.events(release.release_id, kinds=[*ENDS, Kind.CALENDAR_CHANGED])
        for gate, times, words in edited(release.plan.shape, shape, events):
            before = sum(e.kind is Kind.CALENDAR_CHANGED and e.step == gate.id for e in events)
            message = f"the windows of {gate.environment} are others now: {words}"
            event = NewEvent(
                kind=Kind.CALENDAR_CHANGED,
                key=f"{release.release_id}:{gate.id}:calendar:{before + 1}",
                step=gate.id,
                environment=gate.environment,
                data={"message": message, **times},
            )
            if ledger.record(release.release_id, event) is not None:
                told.append(f"{release.release_id}: {message}")
    return told


def _shape(file: Path) -> Shape | None:
    from relman_plugins.plan.compile import compile_shape
    from relman_plugins.spec.api import load_pipeline

    try:
        loaded = load_pipeline(file)
        return compile_shape(loaded.documents) if loaded.documents is not None else None
    except (OSError, RelmanError) as error:
        log.warning("the calendars of %s are not looked at: %s", file.stem, error)
        return None
