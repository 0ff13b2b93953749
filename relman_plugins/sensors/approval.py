"""The gate that asks for approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relman_plugins.domain.event import Kind
from relman_plugins.steps.asking import AskingOperator
from relman_plugins.steps.beforehand import changes_in
from relman_plugins.steps.ruled import asked
from relman_plugins.steps.run import StepRun
from relman_plugins.steps.subjects import body_of, glass_of, has_changed, is_for, nobody_asked, subject_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import GateState


class ApprovalSensor(AskingOperator):
    """Wait until the people named in the plan have approved exactly what would ship.

    The approval is bound to the digest of its subject: version, artifact digest, plan hash, spec digest. A
    "no", or nobody's answer in time, fails the step and with it the way into the stage.
    """

    ui_color = "#f6d9a8"

    def _begin(self, context: Context, run: StepRun) -> Any:
        """Ask again when somebody clears the gate and its approval is not one for what would ship now.

        An approval that still holds, for the same subject, is not asked for a second time.
        """
        gate = run.ledger.votes.gate(run.release_id, run.step.id)
        if gate is not None and gate.state == "approved" and run.mine(Kind.STEP_FINISHED):
            over = gate.valid_until is not None and run.ledger.now() >= gate.valid_until
            if over or not is_for(gate, subject_of(run)):
                return self._anew(context, run, gate.round if over else None)
        elif gate is None and run.mine(Kind.STEP_FINISHED) and has_changed(run):
            return self._anew(context, run)
        return super()._begin(context, run)

    def _anew(self, context: Context, run: StepRun, renews: int | None = None) -> Any:
        self._hold(run)
        self._check(run)
        return self.finish(run, self._asked(context, run, renews))

    def act(self, context: Context, run: StepRun) -> str:
        """Ask, or use the decision that is already there."""
        return self._asked(context, run)

    def _asked(self, context: Context, run: StepRun, renews: int | None = None) -> str:
        found = run.ledger.votes.waive(run.release_id, run.step.id)
        subject = subject_of(run)
        if not found.left:
            return nobody_asked(found)
        gate = self.ask_as_planned(
            context,
            run,
            subject=subject,
            headline=f"{run.shape.pipeline} {run.plan.options.version} → {run.step.environment}: approve?",
            renews=renews,
            body=lambda gate: glass_of(found) + body_of(run, gate, *asked(run)) + changes_in(run),
        )
        return self.settle(context, run, gate)

    def decided(self, context: Context, run: StepRun, gate: GateState) -> str:
        """Return who approved, once that takes effect."""
        if gate.effect_at is not None and run.ledger.now() < gate.effect_at:
            when = f"{gate.effect_at:%Y-%m-%d %H:%M:%S} UTC"
            self.wait_until(run, gate.effect_at, f"approved, and takes effect at {when}")
        return super().decided(context, run, gate)
