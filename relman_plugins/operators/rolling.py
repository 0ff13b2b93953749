"""Bringing a version in some replicas at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.domain.bounds import rolling_bounds
from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import DesiredState, RollingBounds
from relman_plugins.hooks.platform import platform_of
from relman_plugins.operators.changing import ChangingOperator, previous_of
from relman_plugins.operators.left import leave_behind
from relman_plugins.platforms.base import Rolls
from relman_plugins.strategies import promoted, rolling

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.platforms.base import Platform
    from relman_plugins.steps.run import StepRun


class RollOperator(ChangingOperator):
    """Converge to one wave after the other, each only when the one before has proven itself.

    Between two waves everything is checked again, so an abort, a hold or a gate that no longer holds stops
    the change there. Idempotent: another try, and a release that was held, goes on from the wave that was
    last asked for. A platform that rolls by itself does it in one wave, which is not stopped in its middle.
    """

    ui_color = "#d3ecd0"

    def act(self, context: Context, run: StepRun) -> str:
        """Roll from what is there to the new version."""
        self.not_taken_back(run)
        self.wait_for_window(run)
        lock = self.take_lock(run)
        platform, environment = platform_of(run.environment), run.environment
        self.still_serves(run, platform)
        previous = previous_of(run, platform)
        leave_behind(context, run, previous, lock)
        for number, desired in enumerate(_waves(run, platform)):
            if number:
                self._hold(run)
                self._check(run)
                self.wait_for_window(run, wave=True)
            label = f"wave-{desired.stable_replicas}-{desired.candidate_replicas}"
            done = desired.candidate is None
            self.change(run, platform, desired, lock, previous=previous, promoted=done, label=label)
        return f"{run.artifact.version} has replaced what ran in {environment.name}"


def _waves(run: StepRun, platform: Platform) -> list[DesiredState]:
    """Return the waves that are left, first the one last asked for: it may not have been reached.

    A platform that rolls by itself is asked for the end, and given the bounds.
    """
    args, environment = run.step.args, run.environment
    asked = run.mine(Kind.CHANGE_STARTED)
    last = DesiredState.model_validate(asked[-1].data["desired"]) if asked else None
    if isinstance(platform, Rolls) and platform.rolls:
        surge, unavailable = rolling_bounds(args["max_surge"], args["max_unavailable"], environment.replicas)
        bounds = RollingBounds(max_surge=surge, max_unavailable=unavailable)
        end = promoted(run.artifact, environment.replicas, environment.config)
        return [end.model_copy(update={"rolling": bounds})]
    waves = rolling.desired_states(
        last or platform.observe(environment.name, run.service),
        run.artifact,
        environment.replicas,
        args["max_surge"],
        args["max_unavailable"],
        environment.config,
    )
    return waves if last is None or last == waves[0] else [last, *waves]
