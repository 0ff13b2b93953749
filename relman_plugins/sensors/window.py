"""The release window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from relman_plugins import settings
from relman_plugins.calendars.gate import Gate
from relman_plugins.domain.event import Kind
from relman_plugins.steps.base import ReleaseStepOperator
from relman_plugins.steps.run import StepRun
from relman_plugins.triggers.base import deferral
from relman_plugins.triggers.waits import WindowTrigger, gate_args

if TYPE_CHECKING:
    from airflow.sdk import Context


class WindowSensor(ReleaseStepOperator):
    """Wait until the environment's windows and calendars are open: deferred to the exact opening, no polling.

    An emergency release does not wait; that it is one stands in what its approvers approve. The first step
    that changes the environment looks at the window again, at the moment it acts. A release that was held
    meanwhile has its whole patience again: the window may have opened and closed while it was not to go on.
    """

    ui_color = "#cfe3f5"

    def act(self, context: Context, run: StepRun) -> str:
        """Return at once in an open window, wait for its opening otherwise."""
        args = run.step.args
        now = datetime.now(UTC)
        said = Gate.of(args).answer(now, run.started_by)
        if run.plan.options.emergency and not said.open:
            return f"emergency: not waiting for the window ({'; '.join(said.reasons)})"
        waits = run.mine(Kind.WINDOW_WAITED)
        if said.open:
            return f"the window is open: {'; '.join(said.reasons)}"
        resumed = [e for e in run.events(Kind.RELEASE_RESUMED) if waits and e.id > waits[0].id]
        since = resumed[-1].at if resumed else waits[0].at if waits else now
        until = since + timedelta(seconds=args["timeout_s"])
        again = f":{resumed[-1].id}" if resumed else ""
        run.record(Kind.WINDOW_WAITED, f"waited{again}", _waiting(said, until))
        self.log.info("closed: %s; next opening %s", "; ".join(said.reasons), said.next_open)
        return self.defer(
            trigger=WindowTrigger(
                release_id=run.release_id,
                gate=gate_args(args),
                started_by=run.started_by,
                expires_at=until.isoformat(),
                since=since.isoformat(),
                **deferral(settings.minimum_deferral()),
            ),
            method_name="resume",
        )


def _waiting(said: Any, until: datetime) -> dict[str, Any]:
    return {
        "message": f"waiting for the release window: {'; '.join(said.reasons)}",
        "next_open": said.next_open.isoformat() if said.next_open else None,
        "gives_up_at": until.isoformat(),
    }
