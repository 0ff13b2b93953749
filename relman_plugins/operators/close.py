"""The last step: the release gets its outcome."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from relman_plugins import telemetry
from relman_plugins.domain.event import Kind
from relman_plugins.domain.status import Outcome
from relman_plugins.steps.base import ReleaseStepOperator
from relman_plugins.steps.metrics import tell
from relman_plugins.steps.outcome import left_behind, outcome_of
from relman_plugins.steps.passing import tell_bypasses
from relman_plugins.steps.run import StepRun

if TYPE_CHECKING:
    from airflow.sdk import Context


log = logging.getLogger(__name__)


class CloseReleaseOperator(ReleaseStepOperator):
    """Record how the release ended, give back its locks, fail the run for every outcome but ``succeeded``.

    A teardown of ``open``, so that it runs whatever became of the other steps, also when somebody marks the
    run.
    """

    ui_color = "#e8e8e8"
    forward = False

    def execute(self, context: Context) -> Any:
        """Close the release, once."""
        from relman_plugins import settings
        from relman_plugins.hooks.ledger import ledger
        from relman_plugins.ledger import spool

        # Steps that could not reach the ledger left their events here; the outcome rests on them.
        spool.replay(settings.spool_folder(), ledger())
        return super().execute(context)

    def act(self, context: Context, run: StepRun) -> str:
        """Record the outcome, and first which gates somebody marked: perhaps no other step came to see it."""
        try:
            for line in tell_bypasses(run.ledger, run.release, partial(_succeeded, context["ti"])):
                self.log.warning("%s", line)
        except Exception as error:
            # Airflow does not say; the outcome goes by what is recorded and must not wait for it.
            self.log.warning("whether a gate was passed by can't be seen: %s", error)
        return close(run)

    def finish(self, run: StepRun, message: str, **data: Any) -> dict[str, Any]:
        """End the run as the release ended."""
        closed = run.events(Kind.RELEASE_CLOSED)[-1].data
        if closed["outcome"] != Outcome.SUCCEEDED:
            raise AirflowFailException(f"{run.release_id} {closed['outcome']}: {closed['reason']}")
        return super().finish(run, message, **data)


def _succeeded(ti: Any, task_ids: list[str]) -> set[str]:
    """Return which of these tasks of the run Airflow shows as successful."""
    states = ti.get_task_states(ti.dag_id, task_ids=task_ids, run_ids=[ti.run_id]).get(ti.run_id, {})
    return {task for task, state in states.items() if state == "success"}


def close(run: StepRun, outcome: Outcome | None = None, reason: str = "") -> str:
    """Record an outcome (by the events, when none is given) and give back the release's locks. Idempotent."""
    events = run.events()
    if not any(e.kind is Kind.RELEASE_CLOSED for e in events):
        from relman_plugins.steps.restoring import bring_back

        if outcome is None:
            outcome, reason = outcome_of(run.shape, events)
        for name in left_behind(run.shape, events):
            # Its rollback failed, or was skipped with the run that somebody marked. Not closed before it is
            # done: what this step can't do, maintenance goes on trying.
            reason = f"{reason}; {bring_back(run.ledger, run.release, name, run.step.id)}"
        run.record(Kind.RELEASE_CLOSED, "closed", {"outcome": outcome.value, "reason": reason})
        tell(run.release, run.events())
    for lock in run.ledger.locks.held(run.release_id):
        run.ledger.locks.release(lock.environment, lock.service, run.release_id)
    from relman_plugins.steps.suite_jobs import sweep

    # After the locks: a cluster that does not answer must not keep other releases waiting.
    sweep(run, log.warning)
    closed = run.events(Kind.RELEASE_CLOSED)[-1].data
    telemetry.note(outcome=closed["outcome"])
    return f"{run.release_id} {closed['outcome']}: {closed['reason']}"
