"""A step that comes to a freeze: it waits for the thaw, or for people to let it past.

Which freezes leave room for that, whoever froze said; who may, the owner of the environment. Where either
says nothing, only the thaw helps. What is asked for is about just these freezes and just what would ship: one
that comes later is asked about anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.waits import FreezeTrigger

if TYPE_CHECKING:
    from relman_plugins.ledger.api import Freeze, GateState
    from relman_plugins.plan.model import Step
    from relman_plugins.steps.base import ReleaseStepOperator
    from relman_plugins.steps.run import StepRun

STANDS_S = 366 * 86_400.0
"""How long the question stands: as long as the release waits. The thaw ends it."""


def wait_while_frozen(step: ReleaseStepOperator, run: StepRun) -> None:
    """Return when nothing holds up what the step is about to change, or people let it past; wait otherwise.

    The step then begins anew, with all its checks.
    """
    shape = run.shape
    frozen = run.ledger.freezes.holding(shape.pipeline, run.step.environment, shape.labels)
    asks = shape.exception(run.step.stage)
    if not frozen:
        if asks is not None:
            run.ledger.freezes.lay_down(run.release_id, asks.id)
        return
    if _let_past(step, run, frozen):
        return
    gate = _ask(run, asks, frozen) if asks is not None else None
    told = "; ".join(map(str, frozen))
    ids = [freeze.id for freeze in frozen]
    data = {
        "message": f"waiting: {told}",
        "freezes": [freeze.model_dump(mode="json") for freeze in frozen],
        **({"gate": gate.gate} if gate is not None and gate.state == "open" else {}),
    }
    run.record(Kind.FREEZE_WAITED, f"frozen:{'-'.join(map(str, ids))}", data)
    step.log.info("%s", told)
    step.defer(
        trigger=FreezeTrigger(
            release_id=run.release_id,
            pipeline=shape.pipeline,
            environment=run.step.environment or "",
            labels=shape.labels,
            frozen=ids,
            gate=gate.gate if gate is not None and gate.state == "open" else "",
            **deferral(settings.minimum_deferral()),
        ),
        method_name="resume",
    )


def _let_past(step: ReleaseStepOperator, run: StepRun, frozen: Sequence[Freeze]) -> bool:
    from relman_plugins.ledger.api import let_past

    gate = let_past(run.ledger, run.release, run.step, {f.id: f.unless for f in frozen}, run.ledger.now())
    if gate is None:
        return False
    by = ", ".join(v.name or v.person for v in gate.votes)
    message = f"goes past a freeze, as {by} approved: {'; '.join(map(str, frozen))}"
    data = {
        "message": message,
        "freezes": [freeze.model_dump(mode="json") for freeze in frozen],
        "gate": gate.gate,
        "round": gate.round,
        "approved_by": [v.person for v in gate.votes],
    }
    ids = "-".join(str(freeze.id) for freeze in frozen)
    run.record(Kind.FREEZE_PASSED, f"passed:{gate.round}:{ids}", data)
    step.log.info("%s", message)
    return True


def _ask(run: StepRun, asks: Step, frozen: Sequence[Freeze]) -> GateState | None:
    """Return the gate at which people are asked to let the release past just these; None if nobody may.

    Someone's no stands for as long as the release waits in this stage.
    """
    if any(freeze.unless != "approved" for freeze in frozen):
        return None
    from relman_plugins.ledger.api import SHOWN, canonical_subject, planned

    events = run.events(*SHOWN)
    subject = canonical_subject(run.release, asks, events)
    ids = {freeze.id for freeze in frozen}
    there = run.ledger.votes.gate(run.release_id, asks.id)
    if (
        there is not None
        and there.state == "open"
        and ids <= set(there.subject.get("frozen") or ())
        and all(there.subject.get(name) == value for name, value in subject.items())
    ):
        return there  # one of the freezes is over: what was said so far is about the others, too
    panel = planned(run.release, asks, events)
    return run.ledger.votes.open_gate(
        run.release_id,
        asks.id,
        subject=subject | {"step": asks.id, "frozen": sorted(ids), "freezes": [str(f) for f in frozen]},
        people=panel.people,
        quorum=panel.needed,
        rules=panel.rules,
        own=panel.own,
        timeout_s=STANDS_S,
        on_timeout="expire",
        asker=run.step.id,
    )
