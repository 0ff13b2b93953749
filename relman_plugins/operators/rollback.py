"""Going back to what was there before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from relman_plugins import settings
from relman_plugins.domain.event import Kind, NewEvent
from relman_plugins.domain.state import ObservedState, Revision, served_since
from relman_plugins.errors import LedgerError, LedgerUnavailable
from relman_plugins.hooks.platform import platform_of
from relman_plugins.hooks.recorder import Recorder
from relman_plugins.operators.changing import ChangingOperator, seen_at_first
from relman_plugins.operators.left import left_behind
from relman_plugins.steps.run import StepRun
from relman_plugins.strategies.api import withdrawn

if TYPE_CHECKING:
    from airflow.sdk import Context

    from relman_plugins.plan.model import EnvironmentPlan, Step


class RollbackOperator(ChangingOperator):
    """Converge to the last stable state, whatever else is the matter.

    Nothing blocks it: no window, no hold, no missing approval, no changed spec. Without the ledger it goes
    on from what the deploying steps left in XCom and this task's own copy of the plan, and its events wait
    in the spool. The platform refuses it only when another release has taken the environment since (a newer
    fencing token).

    Skipped when the release changed nothing here.
    """

    ui_color = "#f5c6c6"
    forward = False

    def execute(self, context: Context) -> Any:
        """Roll back; by the ledger when it answers, without it when not."""
        from relman_plugins.hooks.ledger import ledger

        try:
            ledger().check()
        except LedgerError as error:
            self.log.warning("rolling back without the ledger: %s", error)
            return self._without_ledger(context)
        return super().execute(context)

    def act(self, context: Context, run: StepRun) -> str:
        """Go back to what was stable before the release's first change."""
        changes = [e for e in run.events(Kind.CHANGE_STARTED) if e.environment == run.environment.name]
        if not changes:
            run.record(
                Kind.STEP_FINISHED,
                "finished",
                {"message": "nothing to roll back: the release changed nothing here"},
            )
            raise AirflowSkipException(f"release {run.release_id} changed nothing in {run.environment.name}")
        found = changes[0].data.get("previous")
        previous = Revision.model_validate(found) if found else None
        # A step that was given up may still be converging in a lost process: it must not land after this.
        lock = run.ledger.locks.advance(run.environment.name, run.service, run.release_id)
        token = lock.token if lock else max(int(e.data["token"]) for e in changes)
        observed = self._converge(
            run.recorder, run.environment, run.service, run.step, run.attempt, previous, token, costs_of=run
        )
        run.ledger.locks.release(run.environment.name, run.service, run.release_id)
        return _told(previous, observed)

    def _without_ledger(self, context: Context) -> dict[str, Any]:
        from relman_plugins.hooks.ledger import ledger

        ti = context["ti"]
        step = self.shape.step(self.step_id)
        left = left_behind(context, step.args["steps"])
        if not left:
            return self._by_what_runs(context)
        previous = Revision.model_validate(left[0]["previous"]) if left[0]["previous"] else None
        recorder = Recorder(
            left[0]["release"],
            ledger,
            spool=settings.spool_folder(),
            warn=lambda text: self.log.warning("%s", text),
        )
        environment = self.shape.environment(step.environment or "")
        token = max(int(v["token"]) for v in left)
        observed = self._converge(
            recorder, environment, self.shape.service, step, f"try{ti.try_number}", previous, token
        )
        return {"release": left[0]["release"], "message": _told(previous, observed)}

    def _by_what_runs(self, context: Context) -> dict[str, Any]:
        """Take back a candidate of this release's version, found by asking the platform.

        Airflow forgets what a step left in XCom when it tries the step again, so its absence proves nothing.
        """
        step, version = self.shape.step(self.step_id), context["params"].get("version")
        environment = self.shape.environment(step.environment or "")
        platform = platform_of(environment)
        seen = platform.observe(environment.name, self.shape.service)
        sides = [s.revision.version for s in (seen.stable, seen.candidate) if s]
        if context["params"].get("dry_run") or (version and version not in sides):
            raise AirflowSkipException("no step left a change behind, so there is nothing to roll back")
        if seen.stable is None or seen.candidate is None or seen.candidate.revision.version != version:
            raise LedgerUnavailable(
                f"without the ledger nobody knows what ran in {environment.name} before this release; "
                "the next try, or maintenance, rolls back when the ledger answers"
            )
        from relman_plugins.hooks.change import time_for

        desired = withdrawn(seen.stable.revision, environment.replicas, environment.config)
        observed = platform.converge(
            environment.name,
            self.shape.service,
            desired,
            token=seen.token,
            timeout_s=time_for(environment),
        )
        self.log.warning("%s; it is recorded when the ledger answers", _told(seen.stable.revision, observed))
        raise LedgerUnavailable(
            f"{seen.stable.revision.version} has all the traffic of {environment.name} again; trying again "
            "until the ledger can be told"
        )

    def _converge(
        self,
        recorder: Recorder,
        environment: EnvironmentPlan,
        service: str,
        step: Step,
        attempt: str,
        previous: Revision | None,
        token: int,
        costs_of: StepRun | None = None,
    ) -> ObservedState:
        from relman_plugins.hooks.change import Change, converge, time_for

        change = Change(
            environment=environment.name,
            service=service,
            step=step.id,
            desired=withdrawn(previous, environment.replicas, environment.config),
            token=token,
            attempt=attempt,
            previous=previous,
        )
        platform, release = platform_of(environment), recorder.release_id
        observed = converge(change, platform, recorder.record, release, time_for(environment))
        cost = served_since(seen_at_first(costs_of), observed, costs_of.artifact) if costs_of else {}
        recorder.record(
            NewEvent(
                kind=Kind.ROLLBACK_FINISHED,
                key=f"{recorder.release_id}:{step.id}:rolled-back",
                step=step.id,
                environment=environment.name,
                data={
                    "to": previous.model_dump(mode="json") if previous else None,
                    # What somebody else set may be a secret.
                    "observed": observed.model_dump(mode="json", exclude={"config"}),
                    "served": cost,
                },
                at=datetime.now(UTC),
            )
        )
        return observed


def _told(previous: Revision | None, observed: ObservedState) -> str:
    if previous is None:
        return "rolled back: nothing was there before, and nothing is there now"
    ready = (
        f"{observed.stable.ready} of {observed.stable.replicas} replicas ready"
        if observed.stable
        else "not ready"
    )
    said = "".join(f"; {m}" for m in observed.messages)
    return f"rolled back: {previous.version} has all the traffic, {ready}{said}"
