"""A step that comes to a freeze: it waits for the thaw, or for people to let it past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.plan.model import PAST_FREEZE
from relman_plugins.steps import excepting
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.waits import FreezeTrigger

if TYPE_CHECKING:
    from relman_plugins.steps.base import ReleaseStepOperator
    from relman_plugins.steps.run import StepRun


def wait_while_frozen(step: ReleaseStepOperator, run: StepRun) -> None:
    """Return when nothing holds up what the step is about to change, or people let it past; wait otherwise.

    The step then begins anew, with all its checks.
    """
    shape = run.shape
    frozen = run.ledger.freezes.holding(shape.pipeline, run.step.environment, shape.labels)
    if not frozen:
        excepting.lay_down(run, PAST_FREEZE)
        return
    told, ids = list(map(str, frozen)), [freeze.id for freeze in frozen]
    data = {"freezes": [freeze.model_dump(mode="json") for freeze in frozen]}
    gate = ""
    if all(freeze.unless == "approved" for freeze in frozen):
        allowed = excepting.allowed(run, PAST_FREEZE)
        if allowed is not None and set(ids) <= allowed.past:
            step.log.info("%s", excepting.tell(run, allowed, Kind.FREEZE_PASSED, told, **data))
            return
        gate = excepting.ask(run, PAST_FREEZE, ids, told)
    message = {"message": f"waiting: {'; '.join(told)}", **({"gate": gate} if gate else {})}
    run.record(Kind.FREEZE_WAITED, f"frozen:{'-'.join(map(str, ids))}", message | data)
    step.log.info("%s", "; ".join(told))
    step.defer(
        trigger=FreezeTrigger(
            release_id=run.release_id,
            pipeline=shape.pipeline,
            environment=run.step.environment or "",
            labels=shape.labels,
            frozen=ids,
            strict=[freeze.id for freeze in frozen if freeze.unless != "approved"],
            gate=gate,
            **deferral(settings.minimum_deferral()),
        ),
        method_name="resume",
    )
