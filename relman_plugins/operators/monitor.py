"""Watching a version after it has all the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind
from relman_plugins.hooks.platform import platform_of
from relman_plugins.operators.changing import previous_of
from relman_plugins.operators.judging import JudgingOperator, nothing_to_compare
from relman_plugins.plan.looks import age_at, looks_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.steps.run import StepRun


class MonitorOperator(JudgingOperator):
    """Look at the numbers for the plan's time after 100 %, then let the old version go.

    Until then the old version stands by with all its replicas, so that going back is a matter of weights.
    """

    ui_color = "#e2dcf2"

    def act(self, context: Context, run: StepRun) -> str:
        """Start to watch; the judgement comes later."""
        done = self.settled(context, run)
        if done is not None:
            return done
        lock = self.take_lock(run)
        previous = previous_of(run, platform_of(run.environment))
        if why := nothing_to_compare(run, previous):
            return self.uncompared(context, run, why)
        age_s = age_at(run.mine(Kind.STEP_STARTED), run.step, f"{run.release_id}:{run.step.id}:{run.attempt}")
        count = looks_of(run.step, run.shape.analysis(run.step.args["analysis"]), age_s)
        self.watch(run, lock, previous, weight=100, count=count)
        raise AssertionError("watch defers")

    def passed(self, run: StepRun, reason: str) -> str:
        """Make the version the stable one; the old one is let go."""
        if run.step.args.get("promotes"):
            lock = self.take_lock(run)
            self.promote(run, lock, previous_of(run, platform_of(run.environment)))
        return f"good for {run.step.args['for_s']:g} s at 100 %: {reason}"
