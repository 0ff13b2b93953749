"""Which steps of a release have ended well, and when, by what is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from relman_plugins.domain.event import Event, Kind
from relman_plugins.plan.model import Shape, StepKind

BESIDES = (StepKind.ROLLBACK, StepKind.TEARDOWN, StepKind.CLOSE, StepKind.FOLLOW_UP)
"""Steps that nothing may block, and that no release, and no stage, has to have for its success."""

WATCHES = (StepKind.MONITOR, StepKind.KEEP)
"""Steps that look after a version which has its traffic already: no freeze keeps them from beginning."""

ENDS = (Kind.STEP_FINISHED, Kind.GATE_DECIDED)
"""The kinds of events that :func:`ended` reads."""


def ended(shape: Shape, events: Iterable[Event]) -> dict[str, datetime]:
    """Return when each step had its end: those with a recorded end, and the approvals that were given.

    A decision counts also when somebody marked the gate's task before it could record its end. Of several
    ends the first one counts. Takes events of any kinds, oldest first.
    """
    gates = {step.id for step in shape.steps if step.kind is StepKind.APPROVAL}
    decided: dict[str, datetime] = {}
    finished: dict[str, datetime] = {}
    for event in events:
        if event.kind is Kind.STEP_FINISHED and event.step:
            finished.setdefault(event.step, event.at)
        elif event.kind is Kind.GATE_DECIDED and event.step in gates and event.data["state"] == "approved":
            decided.setdefault(str(event.step), event.at)
    return decided | finished
