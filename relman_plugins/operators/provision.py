"""Making an environment for one release, and proving afterwards that it is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from relman_plugins.domain.event import Kind
from relman_plugins.domain.state import DesiredState
from relman_plugins.errors import PlatformUnavailable
from relman_plugins.hooks.platform import platform_of
from relman_plugins.operators.changing import ChangingOperator
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context


class ProvisionOperator(ChangingOperator):
    """Take the lock of an ephemeral environment and start from nothing: what a dead release left is removed.

    The environment's expiry is recorded, so that maintenance removes it should the teardown never run.
    """

    ui_color = "#dff0ef"

    def act(self, context: Context, run: StepRun) -> str:
        """Make sure that the environment is empty and ours."""
        self.wait_for_window(run)
        lock = self.take_lock(run)
        platform = platform_of(run.environment)
        # Housekeeping goes by that clock.
        expires_at = run.ledger.now() + timedelta(seconds=run.step.args["expires_s"])
        # Recorded first: an environment that exists and is not in the ledger would never be removed.
        run.record(
            Kind.ENVIRONMENT_PROVISIONED, f"{run.attempt}:provisioned", {"expires_at": expires_at.isoformat()}
        )
        self.change(run, platform, DesiredState(), lock, provisioned=True)
        return f"{run.environment.name} is ours until {expires_at:%H:%M} UTC, and empty"


class TeardownOperator(ChangingOperator):
    """Remove an ephemeral environment and prove it: the platform is asked what is still there."""

    ui_color = "#dff0ef"
    forward = False

    def act(self, context: Context, run: StepRun) -> str:
        """Converge to nothing; fail, and be tried again, while anything is left."""
        from relman_plugins.ledger.api import Busy, called

        name = run.environment.name
        lock = run.ledger.locks.acquire(name, run.service, run.release_id, 600)
        if isinstance(lock, Busy):
            other = called(run.ledger, lock.holder, run.release.pipeline)
            return f"{name} belongs to {other} by now; nothing of this release is left in it"
        platform = platform_of(run.environment)
        self.change(run, platform, DesiredState(), lock)
        observed = platform.observe(name, run.service)
        if observed.exists:
            raise PlatformUnavailable(
                f"{name} is not gone: {'; '.join(observed.messages) or 'something is left of it'}"
            )
        asked = f"{run.environment.platform} was asked at {datetime.now(UTC):%H:%M:%S} UTC"
        proof = [f"{asked}: nothing of {name} exists"]
        run.record(Kind.ENVIRONMENT_REMOVED, f"{run.attempt}:removed", {"proof": proof})
        run.ledger.locks.release(name, run.service, run.release_id)
        return f"{name} is gone: no process, port, route or data directory is left"
