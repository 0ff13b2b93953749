"""Bringing a version in: all at once, or by one weight of a canary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind
from relman_plugins.hooks.platform import platform_of
from relman_plugins.operators.changing import (
    changes_so_far,
    is_first_deploy,
    previous_of,
)
from relman_plugins.operators.judging import JudgingOperator, nothing_to_compare
from relman_plugins.operators.left import leave_behind
from relman_plugins.plan.model import StepKind
from relman_plugins.platforms.base import Baselines
from relman_plugins.steps.base import StepFailed
from relman_plugins.strategies.api import promoted, state_for_weight

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.ledger.api import Lock
    from relman_plugins.steps.run import StepRun


class DeployOperator(JudgingOperator):
    """Converge the environment to the step's weight, then wait for the analysis when the plan has one.

    Idempotent: a second try converges to the same state under the same lock, and does not bring a candidate
    back whose numbers were bad. The first deploy of a service skips the weights: there is nobody to share
    traffic with.
    """

    ui_color = "#d3ecd0"

    def act(self, context: Context, run: StepRun) -> str:
        """Move the traffic; the judgement comes later."""
        done = self.settled(context, run)
        if done is not None:
            return done
        self.wait_for_window(run)
        lock = self.take_lock(run)
        platform = platform_of(run.environment)
        self.still_serves(run, platform)
        previous = previous_of(run, platform)
        args, environment, new = run.step.args, run.environment, run.artifact
        weight = int(args["weight"])
        first = is_first_deploy(previous, new)
        if run.step.kind is StepKind.DEPLOY:
            desired = promoted(new, environment.replicas, environment.config)
        else:
            desired = state_for_weight(
                previous,
                new,
                weight,
                environment.replicas,
                environment.config,
                baseline=bool(args.get("baseline")),
            )
        if desired.baseline and not (isinstance(platform, Baselines) and platform.baselines):
            raise StepFailed(
                f"platform {environment.platform} of {environment.name} runs no fresh baseline to compare "
                "with; write baseline: stable in the canary"
            )
        if first and weight < 100 and changes_so_far(run, Kind.CHANGE_FINISHED):
            return f"skipped: {new.version} is the first version here and has all the traffic already"
        is_promotion = desired.candidate is None
        leave_behind(context, run, previous, lock)
        self.change(run, platform, desired, lock, previous=previous, promoted=is_promotion)
        if why := nothing_to_compare(run, previous):
            return self.uncompared(context, run, why)
        if args.get("analysis") and not (first and weight < 100):
            count, baseline = int(args["count"]), desired.baseline
            self.watch(run, lock, previous, weight=weight, count=count, baseline=baseline)
        if args.get("promotes") and not is_promotion:
            self.promote(run, lock, previous)
        share = "all the traffic" if is_promotion else f"{weight} % of the traffic"
        return f"{new.version} has {share} of {environment.name}"

    def passed(self, run: StepRun, reason: str) -> str:
        """Let the release go on; make the version the stable one at the last weight without a monitor."""
        if run.step.args.get("promotes"):
            lock: Lock = self.take_lock(run)
            self.promote(run, lock, previous_of(run, platform_of(run.environment)))
        return f"good at {run.step.args['weight']} %: {reason}"
