"""The gate that looks at the release's change ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relman_plugins.domain.ticket import summary, told
from relman_plugins.errors import ClientError
from relman_plugins.steps.base import ReleaseStepOperator, StepFailed
from relman_plugins.steps.creating import create
from relman_plugins.steps.tickets import final, look, number_of, wait_for_ticket

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.steps.run import StepRun


class TicketSensor(ReleaseStepOperator):
    """Wait until the ticket is there, approved, in the right state, and for the right configuration item.

    Its planned time may lie ahead: people approve by day what changes at night. The first step that changes
    the environment waits for it. Each step that brings traffic to the new version asks the system again, so
    what is recorded here opens nothing by itself. A ticket that has ended, was rejected or is another's fails
    the step; a system that does not answer, or answers nonsense, is waited for.
    """

    ui_color = "#e6dcf2"

    def act(self, context: Context, run: StepRun) -> str:
        """Create the ticket when that is what the gate says, look, and wait for what may come."""
        try:
            if run.step.args["create"] and not number_of(run, run.step):
                self.log.info("created %s", create(run, run.step))
            ticket, found = look(run, run.step)
        except ClientError as error:
            wait_for_ticket(self, run, run.step, error)
        if never := final(found):
            raise StepFailed(never)
        if ticket is None or told(found):
            wait_for_ticket(self, run, run.step, found)
        return summary(ticket)
