"""Time in which a version proves itself before the release goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.operators.monitor import MonitorOperator
from relman_plugins.plan.words import duration
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context


class SoakOperator(MonitorOperator):
    """Wait until the time in the plan has passed since this step first began; no worker waits.

    A retry or a clear does not begin anew, and time in which the release is held counts. An abort is seen at
    once. With an analysis it is a monitor, after the old version was let go: going back starts that again.
    Another try of it looks for what is left of the time.
    """

    ui_color = "#cfe3f5"

    def act(self, context: Context, run: StepRun) -> str:
        """Return when the time is over, wait for the rest of it otherwise."""
        if run.step.args.get("analysis"):
            return super().act(context, run)
        length = float(run.step.args["for_s"])
        until = run.mine(Kind.STEP_STARTED)[0].at + timedelta(seconds=length)
        if run.ledger.now() >= until:
            return f"stayed in {run.step.environment} for {duration(length)}"
        from relman_plugins.triggers.base import deferral
        from relman_plugins.triggers.waits import SoakTrigger

        self.log.info("waiting until %s", until.isoformat(timespec="seconds"))
        return self.defer(
            trigger=SoakTrigger(
                release_id=run.release_id,
                until=until.isoformat(),
                **deferral(settings.minimum_deferral()),
            ),
            method_name="resume",
        )
