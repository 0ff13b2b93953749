"""The release window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.steps.base import ReleaseStepOperator
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context


class WindowSensor(ReleaseStepOperator):
    """Wait until the environment's windows and calendars are open: deferred to the exact opening, no polling.

    An emergency release does not wait; that it is one stands in what its approvers approve. The steps that
    change the environment look again, at the moment they act (:mod:`relman_plugins.steps.windows`).
    """

    ui_color = "#cfe3f5"

    def act(self, context: Context, run: StepRun) -> str:
        """Return at once in an open window, wait for its opening otherwise."""
        from relman_plugins.steps.windows import look_now, wait

        seen = look_now(run, run.step)
        if seen.open:
            return f"the window is open: {seen.reasons}"
        if run.plan.options.emergency:
            return f"emergency: not waiting for the window ({seen.reasons})"
        return wait(self, run, run.step, seen)
