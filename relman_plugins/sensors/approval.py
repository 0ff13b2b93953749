"""The gate that asks for approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.steps.asking import AskingOperator
from relman_plugins.steps.run import StepRun
from relman_plugins.steps.subjects import body_of, subject_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import GateState


class ApprovalSensor(AskingOperator):
    """Wait until the people named in the plan have approved exactly what would ship.

    The approval is bound to the digest of its subject: version, artifact digest, plan hash, spec digest. A
    "no", or nobody's answer in time, fails the step and with it the way into the stage.
    """

    ui_color = "#f6d9a8"

    def act(self, context: Context, run: StepRun) -> str:
        """Ask, or use the decision that is already there."""
        people = run.plan.people(run.step.id)
        subject = subject_of(run)
        gate = self.ask_as_planned(
            context,
            run,
            subject=subject,
            headline=f"{run.shape.pipeline} {run.plan.options.version} → {run.step.environment}: approve?",
            body=body_of(run, subject, people, run.step.args["quorum"]),
        )
        return self.settle(context, run, gate)

    def decided(self, context: Context, run: StepRun, gate: GateState) -> str:
        """Return who approved, once that takes effect."""
        if gate.effect_at is not None and run.ledger.now() < gate.effect_at:
            when = f"{gate.effect_at:%Y-%m-%d %H:%M:%S} UTC"
            self.wait_until(run, gate.effect_at, f"approved, and takes effect at {when}")
        return f"approved by {', '.join(v.name or v.person for v in gate.votes)}"
