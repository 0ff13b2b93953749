"""Blue/green: the preview before the switch, and the time after it in which the old version stands by.

The switch itself is a shift to 100 %; see :mod:`relman_plugins.operators.deploy`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relman_plugins import settings
from relman_plugins.domain.event import Kind
from relman_plugins.hooks.platform import platform_of
from relman_plugins.operators.changing import (
    ChangingOperator,
    is_first_deploy,
    previous_of,
    seen_at_first,
)
from relman_plugins.operators.left import leave_behind
from relman_plugins.plan.model import AnalysisPlan
from relman_plugins.strategies.api import withdrawn
from relman_plugins.strategies.blue_green import previewed
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.keep import KeepTrigger
from relman_plugins.triggers.watch import Watch

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.domain.state import Revision
    from relman_plugins.ledger.api import Lock
    from relman_plugins.steps.run import StepRun


class PreviewOperator(ChangingOperator):
    """Start the new version at full size beside the old one, without traffic.

    Idempotent. The first deploy of a service has nothing to stand beside and takes the traffic at once.
    """

    ui_color = "#d3ecd0"

    def act(self, context: Context, run: StepRun) -> str:
        """Start it, and wait until every replica has proven what it is."""
        self.not_taken_back(run)
        self.wait_for_window(run)
        lock = self.take_lock(run)
        platform, environment = platform_of(run.environment), run.environment
        self.still_serves(run, platform)
        previous = previous_of(run, platform)
        leave_behind(context, run, previous, lock)
        desired = previewed(previous, run.artifact, environment.replicas, environment.config)
        promoted = desired.candidate is None
        self.change(run, platform, desired, lock, previous=previous, promoted=promoted)
        if promoted:
            return (
                f"{run.artifact.version} is the first version in {environment.name} and has all the traffic"
            )
        return f"{run.artifact.version} stands beside what runs in {environment.name}, without traffic"


class KeepOperator(ChangingOperator):
    """Keep the old version at full size for the plan's time after the switch, then let it go.

    An abort meanwhile takes the traffic back at once; going back is a matter of weights.
    """

    ui_color = "#e2dcf2"

    def act(self, context: Context, run: StepRun) -> str:
        """Wait for what is left of the time, then make the new version the stable one."""
        self.not_taken_back(run)
        lock = self.take_lock(run)
        platform = platform_of(run.environment)
        self.still_serves(run, platform)
        previous = previous_of(run, platform)
        if is_first_deploy(previous, run.artifact):
            return f"there was no other version in {run.environment.name} to keep"
        until = _switched_at(run) + float(run.step.args["keep_s"])
        if time.time() < until:
            self.defer(
                trigger=KeepTrigger(
                    watch=_watch(run, lock, previous).model_dump(mode="json"),
                    until=until,
                    **deferral(settings.minimum_deferral()),
                ),
                method_name="resume",
            )
        self.promote(run, lock, previous)
        return f"{run.artifact.version} is the stable version of {run.environment.name}; the old one is gone"


def _switched_at(run: StepRun) -> float:
    """Return when the stage first gave the new version all the traffic, in seconds since the epoch.

    By the machine that did it, not by the ledger's clock: so the end of a change is recorded.
    """
    stage = {s.id for s in run.shape.steps if s.stage == run.step.stage}
    done = [e for e in run.events(Kind.CHANGE_FINISHED) if e.step in stage]
    return next(e.at.timestamp() for e in done if e.data["desired"]["candidate_weight"] == 100)


def _watch(run: StepRun, lock: Lock, previous: Revision | None) -> Watch:
    """Return what is watched: no metric, only people."""
    return Watch(
        release_id=run.release_id,
        step=run.step.id,
        attempt=run.attempt,
        environment=run.environment,
        service=run.service,
        analysis=AnalysisPlan(name=run.step.id, connection="", metrics=()),
        candidate=run.artifact,
        stable=previous,
        weight=100,
        interval_s=float(run.step.args["keep_s"]),
        count=0,
        started_at=time.time(),
        withdraw=withdrawn(previous, run.environment.replicas, run.environment.config),
        token=lock.token,
        before=seen_at_first(run),
    )
